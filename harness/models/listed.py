"""The models of ``conf/model``, read without Hydra: for lists, and for the doctor."""

from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from harness.errors import ConfigError
from harness.io.mistakes import Mistake, mistakes
from harness.io.paths import conf_files, shown
from harness.io.yamlfile import read_yaml
from harness.models.description import ModelConfig

NEEDED = "???"
"""OmegaConf's mark of a value that must be given."""


_BRANCHES = dict.fromkeys(("hub", "local", "wheel", "remote"), 0)
"""What pydantic puts before a key: the kind of model."""


class ListedModel(NamedTuple):
    """A file of ``conf/model``."""

    name: str
    file: Path
    needed: tuple[str, ...]
    """Keys whose values must be given on the command line."""
    model: ModelConfig | None
    """None where a value must be given."""


def model_names() -> tuple[str, ...]:
    """The files of ``conf/model``, sorted.

    Raises:
        ConfigError: Two have one name.
    """
    return tuple(conf_files("model"))


def read_model(name: str) -> ListedModel:
    """One file of ``conf/model``.

    Raises:
        ConfigError: It describes no model; lists every mistake by file and key.
    """
    file = conf_files("model")[name]
    raw = read_yaml(file, shown(file), ConfigError)
    needed = tuple(k for k, v in raw.items() if v == NEEDED) if isinstance(raw, dict) else ()
    if needed:
        return ListedModel(name, file, needed, None)
    try:
        model = TypeAdapter[ModelConfig](ModelConfig).validate_python(raw)
    except ValidationError as error:
        lines = "; ".join(map(_words, mistakes(error, branch_at=_BRANCHES)))
        raise ConfigError(f"{shown(file)}: {lines}") from error
    return ListedModel(name, file, (), model)


def _words(mistake: Mistake) -> str:
    given = mistake.given
    value = "" if isinstance(given, dict | list | None) else f"={given}"
    return f"{mistake.key}{value}: {mistake.text}" if mistake.keys else mistake.text
