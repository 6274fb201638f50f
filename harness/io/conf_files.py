"""Files of ``conf/`` that are read without Hydra: published facts, one record a file."""

from typing import TypeVar

import yaml
from pydantic import ValidationError

from harness.errors import UserError
from harness.io.mistakes import first_mistake
from harness.io.paths import CONF_DIR
from harness.records import Record

Kind = TypeVar("Kind", bound=Record)


def names_in(group: str) -> tuple[str, ...]:
    """The files of a group, sorted, without their suffix."""
    return tuple(sorted(file.stem for file in (CONF_DIR / group).glob("*.yaml")))


def read_group(group: str, kind: type[Kind]) -> dict[str, Kind]:
    """All files of a group by name.

    Raises:
        UserError: As of ``read_file``.
    """
    return {name: read_file(group, name, kind) for name in names_in(group)}


def read_file(group: str, name: str, kind: type[Kind]) -> Kind:
    """One file, ``conf/GROUP/NAME.yaml``.

    Raises:
        UserError: It is no such record; one line that names the file, the key and the value.
    """
    file = CONF_DIR / group / f"{name}.yaml"
    try:
        read = kind.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise UserError(f"conf/{group}/{name}.yaml is no YAML: {text}") from error
    except ValidationError as error:
        first = first_mistake(error)
        value = f"{first.key}={first.given!r}: " if first.keys else ""
        raise UserError(f"conf/{group}/{name}.yaml: {value}{first.text}") from error
    if getattr(read, "name", name) != name:
        raise UserError(f"conf/{group}/{name}.yaml: name={read.name} must be {name}")  # type: ignore[attr-defined]
    return read
