"""JSON of what is known, with no key for what is not."""

import json
from collections.abc import Mapping
from typing import Any


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that have no value."""
    return {key: value for key, value in values.items() if value is not None}


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """The same where every value has to be a text; a number or a list is as JSON writes it."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        for key, value in known(values).items()
    }


def ascii_json(value: Any) -> str:
    """One line of ASCII: some readers end a line at every line break that Unicode has."""
    return json.dumps(value, allow_nan=False)
