"""``hydra.searchpath``: the folders that a command names there, and those that Hydra searches."""

import re
from collections.abc import Sequence
from pathlib import Path

from harness.config.overrides import quoted
from harness.errors import ConfigError
from harness.io.paths import conf_dirs, include, refuse_twins
from harness.runner.sweep.words import words

_KEY = "hydra.searchpath"
_GIVEN = re.compile(r"[+]{0,2}hydra\.searchpath=")
_SCHEME = "file://"


def take_includes(arguments: Sequence[str]) -> list[str]:
    """Includes the folders of ``hydra.searchpath=[file:///FOLDER]``, as ``--include`` does.

    Args:
        arguments: Of ``harness run``.

    Returns:
        The other arguments.

    Raises:
        ConfigError: One is no such folder, or brings a file whose name is taken.
    """
    given = [each for each in arguments if _GIVEN.match(each)]
    include([folder for each in given for folder in _folders(each)], _KEY)
    refuse_twins()
    return [each for each in arguments if each not in given]


def search_path(choices: Path) -> list[str]:
    """The search path argument for Hydra; empty where none is needed.

    Args:
        choices: A folder of this command with choices that were written for it; may be missing.
    """
    folders = [*conf_dirs()[1:], *([choices] if choices.is_dir() else [])]
    if not folders:
        return []
    return [f"{_KEY}=[{','.join(quoted(f'{_SCHEME}{folder}') for folder in folders)}]"]


def _folders(argument: str) -> list[str]:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        value = OverridesParser.create().parse_override(argument).value()
    except HydraException as error:
        raise ConfigError(words(error)) from error
    named = value if isinstance(value, list) else [value]
    for each in named:
        if not str(each).startswith(_SCHEME):
            raise ConfigError(
                f"{_KEY}={each}: should be a list of folders that hold conf/ or tasks/, such as "
                f"{_KEY}=[{_SCHEME}/home/me/mine]"
            )
    return [str(each).removeprefix(_SCHEME) for each in named]
