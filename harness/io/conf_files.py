"""Files of ``conf/`` that are read without Hydra: published facts, one record a file."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from harness.errors import UserError
from harness.io.mistakes import first_mistake
from harness.io.paths import CONF_DIR, conf_file, conf_files, shown
from harness.io.yamlfile import load_yaml
from harness.records import Record

Kind = TypeVar("Kind", bound=Record)


def names_in(group: str) -> tuple[str, ...]:
    """The files of a group, sorted, without their suffix.

    Raises:
        ConfigError: Two have one name.
    """
    return tuple(conf_files(group))


def read_group(group: str, kind: type[Kind]) -> dict[str, Kind]:
    """All files of a group by name.

    Raises:
        UserError: As of ``read_file``.
    """
    return {name: _read(file, kind) for name, file in conf_files(group).items()}


def read_file(group: str, name: str, kind: type[Kind]) -> Kind:
    """One file, ``conf/GROUP/NAME.yaml``.

    Raises:
        UserError: It is no such record; one line that names the file, the key and the value.
    """
    return _read(conf_file(group, name) or CONF_DIR / group / f"{name}.yaml", kind)


def _read(file: Path, kind: type[Kind]) -> Kind:
    where = shown(file)
    try:
        read = kind.model_validate(load_yaml(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        text = " ".join(str(error).split())
        raise UserError(f"{where} is no YAML: {text}") from error
    except ValidationError as error:
        first = first_mistake(error)
        value = f"{first.key}={first.given!r}: " if first.keys else ""
        raise UserError(f"{where}: {value}{first.text}") from error
    if (name := getattr(read, "name", file.stem)) != file.stem:
        raise UserError(f"{where}: name={name} must be {file.stem}")
    return read
