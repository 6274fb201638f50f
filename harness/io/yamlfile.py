"""YAML, safe and read by libyaml where it is there; of the user's files, no key twice."""

from pathlib import Path
from typing import Any

import yaml

from harness.errors import UserError

_MERGE = "tag:yaml.org,2002:merge"


# Ten times as fast with libyaml, which PyYAML's wheels have.
SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Unique(SafeLoader):  # type: ignore[misc]
    """Refuses a duplicate key in a block; PyYAML would silently drop the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: list[Any] = []
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen and key_node.tag != _MERGE:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key} is given twice", problem_mark=key_node.start_mark
                )
            seen.append(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def load_yaml(text: str) -> Any:
    """Parses YAML into plain data, without tags.

    Raises:
        yaml.YAMLError: It is none.
    """
    return yaml.load(text, Loader=SafeLoader)  # noqa: S506 - a safe one


def read_yaml(file: Path, shown: str, kind: type[UserError]) -> Any:
    """Reads and parses a YAML file.

    Args:
        file: What to read.
        shown: Its name in messages.
        kind: The error to raise.

    Raises:
        UserError: Of that kind; one line that names the file, and the line where YAML does.
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=_Unique)  # noqa: S506 - a safe one
    except OSError as error:
        raise kind(f"{shown}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise kind(f"{shown}: no YAML: {yaml_mistake(error)}") from error


def yaml_mistake(error: Exception) -> str:
    """A YAML error on one line."""
    return " ".join(str(error).replace('in "<unicode string>", ', "").split())
