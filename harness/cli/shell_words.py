"""What could come next on a command line of ``harness``: for the shells' completion.

Everything is read from ``conf/``, ``tasks/``, ``results/`` and the parser itself, so a new model,
key or option completes without a word here. Loads no Hydra and no pydantic: a key press waits.
"""

import argparse
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from harness.cli.arguments import INCLUDE
from harness.errors import ConfigError
from harness.io.extensions import ENGINES, declared, task_folders
from harness.io.paths import (
    CONF_DIR,
    DEFAULT_STUDY,
    conf_dirs,
    conf_files,
    default_results_dir,
    include,
    task_dirs,
)
from harness.io.yamlfile import load_yaml

RUN_OPTIONS = ("--dry-run", "--cfg", INCLUDE, "--multirun", "-m", "--resolve", "--help")
_RUN_IDS = "runs"
# What an argument of a command, by its metavar, or an option stands for: a folder of conf/.
_VALUES = {
    "RUN": _RUN_IDS,
    "BASELINE": _RUN_IDS,
    "CANDIDATE": _RUN_IDS,
    "MODEL": "architecture",
    "--against": "architecture",
    "--model": "model",
    "--protocol": "protocol",
    "--task": "tasks",
    "--study": "study",
    "--id": f"study/{DEFAULT_STUDY}/claim",
}
_OVERRIDDEN = ("run", "nightly")
_QUOTES = "'\""
_FOLDER = re.compile(r"file://([^,\]'\"]+)")


class Candidate(NamedTuple):
    """One way to go on."""

    word: str
    """The whole word, as it would be after it."""
    is_whole: bool = True
    """Nothing more belongs to this word: a space may follow."""


class Line(NamedTuple):
    """An unfinished command line, taken apart."""

    words: list[str]
    """Without their quotes; the last one is the one to complete, perhaps empty."""
    quoted_from: int | None
    """Where in the last word a quote was opened that is still open."""


def split(line: str) -> Line:
    """Takes a line apart as a shell does, but for variables and backslashes."""
    words, quote, opened = [""], "", 0
    for character in line.lstrip():
        if quote:
            if character == quote:
                quote = ""
            else:
                words[-1] += character
        elif character in _QUOTES:
            quote, opened = character, len(words[-1])
        elif not character.isspace():
            words[-1] += character
        elif words[-1]:
            words.append("")
    return Line(words, opened if quote else None)


def complete(words: Sequence[str], parser: argparse.ArgumentParser) -> list[Candidate]:
    """What the last word could become.

    Args:
        words: From ``harness`` to the word at the cursor.
        parser: Of all commands.
    """
    before = [word for word in words[1:-1] if word != "--debug"]
    current = words[-1]
    commands = _commands(parser)
    if not before:
        return [Candidate(name) for name in commands if name.startswith(current)]
    command, given = before[0], before[1:]
    if command not in commands:
        return []
    if given and given[-1] == INCLUDE:
        return []  # a folder, which the shell completes
    _include(given)
    results = _results_dir(given)
    found = list(_options(command, commands[command], given, current, results))
    if command in _OVERRIDDEN and not current.startswith("-"):
        found += _overrides(current, results)
    return [each for each in found if each.word.startswith(current) and each.word != current]


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    raise AssertionError("a parser without commands")


def _results_dir(given: Sequence[str]) -> Path:
    """As far as the line says; the last word wins, as it does for the commands."""
    named = [word.partition("=")[2] for word in given if word.startswith("results_dir=")]
    named += [after for word, after in pairwise(given) if word == "--results-dir"]
    return Path(named[-1]).expanduser() if named and named[-1] else default_results_dir()


def _include(given: Sequence[str]) -> None:
    """Sees what the line includes, as far as it is right."""
    named = [after for word, after in pairwise(given) if word == INCLUDE]
    named += [word.removeprefix(f"{INCLUDE}=") for word in given if word.startswith(f"{INCLUDE}=")]
    paths = [word for word in given if word.startswith("hydra.searchpath=")]
    named += [folder for word in paths for folder in _FOLDER.findall(word)]
    for folder in named:
        with suppress(ConfigError):
            include([folder])


def _options(
    command: str,
    parser: argparse.ArgumentParser,
    given: Sequence[str],
    current: str,
    results: Path,
) -> Iterator[Candidate]:
    """Options of a command, the value of one, or a positional argument."""
    if command == "run":
        yield from map(Candidate, RUN_OPTIONS if current.startswith("-") else ())
        return
    actions = parser._actions
    by_name = {name: action for action in actions for name in action.option_strings}
    previous = by_name.get(given[-1]) if given else None
    if previous is not None and previous.nargs != 0:
        yield from map(Candidate, _values(previous, results))
    elif current.startswith("-"):
        yield from map(Candidate, by_name)
    else:
        positional = [action for action in actions if not action.option_strings]
        taken = sum(not word.startswith("-") for word in given)
        if positional:
            action = positional[min(taken, len(positional) - 1)]
            yield from map(Candidate, _values(action, results))


def _values(action: argparse.Action, results: Path) -> Iterable[str]:
    if action.choices is not None:
        return [str(choice) for choice in action.choices]
    names = [*action.option_strings, str(action.metavar)]
    kind = next((_VALUES[name] for name in names if name in _VALUES), None)
    if kind is None:
        return []
    if kind == _RUN_IDS:
        return _run_ids(results)
    if kind == "study":
        files = [file for conf in conf_dirs() for file in (conf / kind).glob("*/study.yaml")]
        return sorted({file.parent.name for file in files})
    return _task_names() if kind == "tasks" else _choices(kind)


# --- overrides -------------------------------------------------------------------------------


def _overrides(current: str, results: Path) -> Iterator[Candidate]:
    key, has_value, value = current.partition("=")
    if not has_value:
        for name, default in _keys().items():
            yield Candidate(f"{name}=[" if isinstance(default, list) else f"{name}=", False)
        return
    plain = key.lstrip("+~")
    if plain == "tasks":
        yield from _task_list(key, value)
        return
    # A sweep names several, with commas between.
    done, comma, _ = value.rpartition(",")
    for choice in _override_values(plain, results):
        yield Candidate(f"{key}={done}{comma}{choice}")


def _override_values(key: str, results: Path) -> Iterable[str]:
    if key in _groups():
        return [*_choices(key), *(declared(ENGINES) if key == "engine" else ())]
    if key in {"resume", "engine.run"}:
        return [*(["auto"] if key == "resume" else []), *_run_ids(results)]
    return ["true", "false"] if isinstance(_keys().get(key), bool) else []


def _task_list(key: str, value: str) -> Iterator[Candidate]:
    """One more task of ``tasks=[humaneval:20,math…``."""
    opened = value.lstrip("[")
    done, comma, _ = opened.rpartition(",")
    named = {each.partition(":")[0].strip() for each in done.split(",")}
    for name in _task_names():
        if name not in named:
            yield Candidate(f"{key}=[{done}{comma}{name}", False)


@cache
def _keys() -> dict[str, Any]:
    """Every key that can be overridden, with a default; the groups first."""
    config = _yaml(CONF_DIR / "config.yaml")
    found: dict[str, Any] = dict.fromkeys(_groups())
    found["tasks"] = []
    for key, default in config.items():
        if key not in {"defaults", "hydra"}:
            found |= _flat(key, default)
    for group in ("model", "engine", "protocol", "pricing"):
        for file in conf_files(group).values():
            for key, default in _yaml(file).items():
                if key != "kind":  # comes with the choice
                    found |= _flat(f"{group}.{key}", default)
    return found


def _flat(key: str, default: Any) -> dict[str, Any]:
    if not isinstance(default, dict) or not default:
        return {key: default}
    return {
        name: leaf
        for inner, value in default.items()
        for name, leaf in _flat(f"{key}.{inner}", value).items()
    }


@cache
def _groups() -> tuple[str, ...]:
    """Those of the defaults list."""
    defaults = _yaml(CONF_DIR / "config.yaml")["defaults"]
    names = [name for each in defaults if isinstance(each, dict) for name in each]
    return tuple(name for name in names if not name.startswith("override "))


def _choices(group: str) -> list[str]:
    return list(conf_files(group))


def _task_names() -> list[str]:
    folders = (*task_dirs(), *task_folders())
    return sorted({file.parent.name for each in folders for file in each.glob("*/task.yaml")})


def _run_ids(results: Path) -> list[str]:
    """The newest first, as somebody would want them."""
    return sorted(
        (file.parent.name for file in (results / "runs").glob("*/manifest.json")), reverse=True
    )


def _yaml(file: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = load_yaml(file.read_text(encoding="utf-8"))
    return loaded or {}
