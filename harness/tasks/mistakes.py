"""What is wrong with a ``task.yaml``, in words for its author."""

import difflib
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from harness.io.redaction import redact
from harness.records import Record

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LONGEST_VALUE = 60
_WORDS = {
    "missing": "must be given",
    "model_type": "should hold KEY: VALUE pairs",
    "string_type": "should be text; put it in quotes",
    "too_short": "should have at least one entry",
    "tuple_type": "should be a list",
    "union_tag_not_found": "kind must be given",
}
"""What would be right, by pydantic's name of the mistake, where its own words say it badly."""


def describe(error: ValidationError, kind: type[Record]) -> str:
    """All mistakes on one line: of each the key, the value, and what would be right.

    Args:
        error: What pydantic found.
        kind: The record that was to be read.
    """
    problems = error.errors()
    places = [problem["loc"] for problem in problems]
    return "; ".join(
        _mistake(problem, kind)
        for problem in problems
        # A list whose only entry is wrong is short too, which need not be said.
        if problem["type"] != "too_short"
        or not any(len(place) > 1 and place[0] == problem["loc"][0] for place in places)
    )


def _mistake(problem: "ErrorDetails", kind: type[Record]) -> str:
    place = problem["loc"]
    # A union's branch ("hub") follows the entry's number, and is no key of the file.
    keys = place[:2] + place[3:] if place[:1] == ("sources",) else place
    key = ".".join(map(str, keys))
    given = problem["input"]
    if problem["type"] == "missing" or isinstance(given, dict | list | tuple | None):
        shown = key
    else:
        shown = f"{key}={_short(given)}" if key else _short(given)
    text = _wanted(problem, kind)
    return f"{shown}: {text}" if shown else text


def _short(value: object) -> str:
    text = redact(" ".join(str(value).split()))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _wanted(problem: "ErrorDetails", kind: type[Record]) -> str:
    match problem["type"]:
        case "extra_forbidden":
            return f"no such key{_did_you_mean(problem['loc'], kind)}"
        case "union_tag_invalid":
            return f"kind={problem['ctx']['tag']} should be {problem['ctx']['expected_tags']}"
    text = problem["msg"].removeprefix("Value error, ").replace("Input should be", "should be")
    return _WORDS.get(problem["type"], text)


def _did_you_mean(place: tuple[int | str, ...], kind: type[Record]) -> str:
    """Half a sentence that names the nearest key of the same block, or nothing."""
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
