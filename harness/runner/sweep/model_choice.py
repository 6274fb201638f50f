"""``model=PATH`` and ``model=ORG/NAME``: each becomes a choice of Hydra's group ``model``.

The choices are written as files into a folder of the command, which Hydra searches too
(``search_path``), so that a
sweep over several of them composes like one over models of ``conf/model``, on other machines too.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.config.overrides import text_of
from harness.io.paths import conf_file
from harness.models import HubModel, LocalModel, WheelModel
from harness.models.description import GGUF

_MODEL = "model="
_FIELD = re.compile(r"model\.(\w+)=")
_FIELDS = frozenset({*HubModel.model_fields, *LocalModel.model_fields, *WheelModel.model_fields})
_HUB_ID = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w./-]+))?")
_PATH_STARTS = ("/", "./", "../", "~")
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
"""A text in quotes."""


def with_models(arguments: Sequence[str], folder: Path) -> list[str]:
    """The arguments with paths and hub ids in a form that Hydra can compose.

    ``model.adapter=…`` and other fields are set whether or not the model's file lists them.

    ``model.adapter=…`` and other fields are set whether or not the model's file lists them.

    Args:
        arguments: Of ``harness run``.
        folder: Of this command; must last as long as its jobs.
    """
    names: dict[str, str] = {}
    return [_rewritten(argument, folder / "model", names) for argument in arguments]


def _rewritten(argument: str, folder: Path, names: dict[str, str]) -> str:
    if argument.startswith(_MODEL):
        return _MODEL + ",".join(_choice(each, folder, names) for each in _split(argument))
    field = _FIELD.match(argument)
    return f"++{argument}" if field and field[1] in _FIELDS else argument


def _split(argument: str) -> list[str]:
    """The comma-separated choices of a value; a path that exists may contain commas."""
    value = argument.removeprefix(_MODEL)
    # Path.exists raises an error where many choices are longer than a file's name may be.
    is_one = _QUOTED.fullmatch(value) or os.path.exists(Path(value).expanduser())  # noqa: PTH110
    return [value] if is_one else value.split(",")


def _unquoted(given: str) -> str:
    return text_of(_MODEL + given) if _QUOTED.fullmatch(given) else given


def _choice(given: str, folder: Path, names: dict[str, str]) -> str:
    """The name of a choice for this model; one of ``conf/model`` has its own."""
    plain = _unquoted(given.strip())
    if conf_file("model", plain) is not None:
        return given
    described = _described(plain)
    if described is None:
        return given  # Hydra says what there is
    if plain not in names:
        stem = re.sub(
            r"[^A-Za-z0-9_-]+", "_", Path(described.get("path") or described["hub_id"]).name
        )
        stem = stem if stem[:1].isalpha() else f"model_{stem}"
        taken = set(names.values())
        names[plain] = next(
            name
            for name in (stem, *(f"{stem}_{number}" for number in range(2, len(names) + 3)))
            if name not in taken and conf_file("model", name) is None
        )
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{names[plain]}.yaml"
        file.write_text(yaml.safe_dump(described, allow_unicode=True), encoding="utf-8")
    return names[plain]


def _described(given: str) -> dict[str, Any] | None:
    path = Path(given).expanduser()
    looks_like_one = given.startswith(_PATH_STARTS) or given.endswith(GGUF)
    is_folder = "/" in given and path.is_dir()  # reading it reports what it lacks
    if looks_like_one or is_folder or (path / "config.json").exists():
        return {"kind": "local", "name": None, "path": str(path.absolute())}
    if found := _HUB_ID.fullmatch(given):
        revision = found[2] or "main"
        return {"kind": "hub", "name": None, "hub_id": found[1], "revision": revision}
    return None
