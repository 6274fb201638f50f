"""JSON Schema as Markdown: a section for each model, a row for each key.

Types come from the schema that pydantic makes, meanings from the docstrings under the fields, which
griffe reads.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import griffe

from harness.records import Record

Schema = Mapping[str, Any]
REFERENCE = re.compile(r"#/\$defs/(\w+)")


class Row(NamedTuple):
    """One key."""

    name: str
    type: str
    default: str
    meaning: str


def rows(model: str, schema: Schema, links: Mapping[str, str]) -> Iterator[Row]:
    """The keys of a model.

    Args:
        model: Its name in ``$defs``, or the title of the schema itself.
        schema: The whole schema.
        links: Where each model is described, by its name.
    """
    described = schema["$defs"].get(model, schema)
    needed = described.get("required", ())
    for name, field in described["properties"].items():
        default = "required" if name in needed else as_code(field.get("default"))
        meaning = _meanings(model, frozenset(described["properties"])).get(name, "")
        yield Row(name, type_of(field, links), default, meaning)


def description(model: str, schema: Schema) -> str:
    """What the model is, by its docstring."""
    return plain(schema["$defs"].get(model, schema).get("description", ""))


def referenced(field: Schema) -> list[str]:
    """The models that a field may hold, in order."""
    return list(dict.fromkeys(REFERENCE.findall(json.dumps(field))))


def type_of(field: Schema, links: Mapping[str, str]) -> str:
    """A type in words: ``integer, at least 1 or null``."""
    match field:
        case {"$ref": _}:
            model = referenced(field)[0]
            return f"[{model}]({links[model]})" if model in links else model
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(dict.fromkeys(type_of(each, links) for each in options))
        case {"enum": values} | {"const": values}:
            return " or ".join(map(as_code, values if isinstance(values, list) else [values]))
        case {"type": "array"}:
            return f"list of {type_of(field.get('items', {}), links)}"
        case {"additionalProperties": {} as values} if values:
            return f"map to {type_of(values, links)}"
    kind = str(field.get("type", "any"))
    return {"date": "date", "date-time": "time"}.get(field.get("format", ""), kind) + _range(field)


def _range(field: Schema) -> str:
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    return "".join(f", {word} {field[key]:g}" for key, word in words.items() if key in field)


def table(found: Iterable[Row], *, has_defaults: bool = True) -> str:
    """The rows as a table; empty without rows."""
    heads = ["key", "type", *(["default"] if has_defaults else []), "meaning"]
    lines = [heads, ["---"] * len(heads)]
    for row in found:
        default = [row.default] if has_defaults else []
        cells = [f"`{row.name}`", row.type, *default, row.meaning]
        lines.append([cell.replace("|", "\\|") for cell in cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) if lines[2:] else ""


def as_code(value: Any) -> str:
    """A value as it is written in YAML and on the command line."""
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def plain(docstring: str) -> str:
    """A docstring in one line of Markdown."""
    return " ".join(docstring.replace("``", "`").split())


@cache
def _meanings(model: str, keys: frozenset[str]) -> Mapping[str, str]:
    """Docstrings under the fields of a model, inherited ones too."""
    path = _path(model, keys)
    if path is None:
        return {}
    fields = _package()[path].all_members
    return {
        name: plain(fields[name].docstring.value)
        for name in keys & fields.keys()
        if fields[name].docstring
    }


def _path(model: str, keys: frozenset[str]) -> str | None:
    """Where in the package the class is."""
    todo: list[type[Record]] = [Record]
    while todo:
        found = todo.pop()
        if found.__name__ == model and keys <= found.model_fields.keys():
            return f"{found.__module__}.{model}".removeprefix("harness.")
        todo += found.__subclasses__()
    return None


@cache
def _package() -> griffe.Object:
    return griffe.load("harness")
