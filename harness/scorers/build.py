"""Builds scorers by name: the built-in ones and those of other packages."""

from functools import cache
from importlib import import_module

from harness.errors import ConfigError
from harness.io.extensions import SCORERS, added, load, origin
from harness.scorers.base import Scorer, ScorerDefinition, ScorerSettings
from harness.scorers.sandbox.config import SandboxConfig

MATH_LIMIT_S = 8.0
"""The default time limit, in seconds."""
BUILT_IN = {
    "math_answer": "harness.scorers.math_answer:MathAnswer",
    "python_tests": "harness.scorers.python_tests:PythonTests",
    "gsm8k_answer": "harness.scorers.gsm8k_answer:Gsm8kAnswer",
}
"""Imported when they are first used."""


def scorer_names() -> list[str]:
    """Every scorer that a task can name, the built-in ones first."""
    return [*BUILT_IN, *added(SCORERS, BUILT_IN)]


def is_scorer(name: str) -> bool:
    """Whether there is a scorer of this name; imports nothing."""
    return name in scorer_names()


def find_definition(scorer: str) -> ScorerDefinition | None:
    """A scorer by ``math_answer`` or ``math_answer@3``; None where there is none.

    Raises:
        ConfigError: Another package's scorer cannot be imported.
    """
    return _definition(scorer.partition("@")[0])


def definition_of(name: str) -> ScorerDefinition:
    """A scorer by its name, with or without its version.

    Raises:
        ConfigError: There is none.
    """
    found = find_definition(name)
    if found is None:
        raise ConfigError(f"scorer {name}: should be one of {', '.join(scorer_names())}")
    return found


def runs_code(scorer: str) -> bool:
    """Whether a scorer runs what the model wrote; False for one that is not installed here."""
    found = find_definition(scorer)
    return found is not None and found.runs_code


def graded_by_lines(command: str) -> ScorerDefinition:
    """The scorer that ``harness grade COMMAND`` means.

    Raises:
        ConfigError: There is none.
    """
    for name in scorer_names():
        if (found := definition_of(name)).command == command:
            return found
    raise ConfigError(f"{command}: no scorer grades such answers")


def standard_settings(workers: int) -> ScorerSettings:
    """The settings for grading without a run."""
    return ScorerSettings(workers, MATH_LIMIT_S, SandboxConfig())


def build_scorer(name: str, *, workers: int, math_limit_s: float, sandbox: SandboxConfig) -> Scorer:
    """Builds a scorer; entering it starts its processes.

    Args:
        name: As ``task.yaml`` has it.
        workers: How many processes grade at once.
        math_limit_s: One maths comparison is killed after this many seconds.
        sandbox: How model-written code is confined.
    """
    return definition_of(name).build(ScorerSettings(workers, math_limit_s, sandbox))


@cache
def _definition(name: str) -> ScorerDefinition | None:
    if (place := BUILT_IN.get(name)) is not None:
        module, _, attribute = place.partition(":")
        built_in: type[ScorerDefinition] = getattr(import_module(module), attribute)
        return built_in()
    found = load(SCORERS, name, ScorerDefinition)  # type: ignore[type-abstract]
    return None if found is None else found()


def scorer_origin(scorer: str) -> str | None:
    """``toy-match 1.0``: the package that adds this scorer; None for a built-in one.

    Args:
        scorer: ``toy_match`` or ``toy_match@3``.
    """
    return origin(SCORERS, scorer.partition("@")[0])
