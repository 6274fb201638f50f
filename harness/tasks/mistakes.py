"""Mistakes in a ``task.yaml``, in words for its author."""

import difflib
from typing import Any, get_args

from pydantic import ValidationError

from harness.io.mistakes import Mistake, mistakes
from harness.io.redaction import redact
from harness.records import Record

_LONGEST_VALUE = 60
_WORDS = {
    "missing": "must be given",
    "model_type": "should hold KEY: VALUE pairs",
    "string_type": "should be text; put it in quotes",
    "too_short": "should have at least one entry",
    "tuple_type": "should be a list",
    "union_tag_not_found": "kind must be given",
}
"""The advice by pydantic's name of the mistake, where pydantic's own text is unclear."""


def describe(error: ValidationError, kind: type[Record]) -> str:
    """All mistakes on one line: of each the key, the value, and what would be right.

    Args:
        error: What pydantic found.
        kind: The record that was to be read.
    """
    # A union's branch ("hub") follows the entry's number.
    return "; ".join(_words(each, kind) for each in mistakes(error, branch_at={"sources": 2}))


def _words(mistake: Mistake, kind: type[Record]) -> str:
    key, given, problem = mistake.key, mistake.given, mistake.details
    if problem["type"] == "missing" or isinstance(given, dict | list | tuple | None):
        shown = key
    else:
        shown = f"{key}={_short(given)}" if key else _short(given)
    text = _wanted(mistake, kind)
    return f"{shown}: {text}" if shown else text


def _short(value: object) -> str:
    text = redact(" ".join(str(value).split()))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _wanted(mistake: Mistake, kind: type[Record]) -> str:
    problem = mistake.details
    match problem["type"]:
        case "extra_forbidden":
            return f"no such key{_did_you_mean(problem['loc'], kind)}"
        case "union_tag_invalid":
            return f"kind={problem['ctx']['tag']} should be {problem['ctx']['expected_tags']}"
    text = mistake.text.replace("Input should be", "should be")
    return _WORDS.get(problem["type"], text)


def _did_you_mean(place: tuple[int | str, ...], kind: type[Record]) -> str:
    """A phrase that suggests the nearest key of the same block; empty where none is near."""
    *blocks, wrong = map(str, place)
    known = list(kind.model_fields)
    if blocks:
        known = _keys_of(kind.model_fields[blocks[0]].annotation, blocks[-1])
    near = difflib.get_close_matches(wrong, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _keys_of(annotation: Any, branch: str) -> list[str]:
    """The keys of a block, of a list's entry those of its branch of the union."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        kinds = annotation.model_fields.get("kind")
        is_it = kinds is None or branch in get_args(kinds.annotation)
        return list(annotation.model_fields) if is_it else []
    return [key for inner in get_args(annotation) for key in _keys_of(inner, branch)]
