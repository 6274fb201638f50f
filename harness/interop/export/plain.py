"""JSON of what is known, with no key for what is not."""

import json
from collections.abc import Mapping
from typing import Any


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping without keys whose value is None."""
    return {key: value for key, value in values.items() if value is not None}


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """The mapping with all values as text; numbers and lists as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        for key, value in known(values).items()
    }


def ascii_json(value: Any) -> str:
    """One line of ASCII: some readers end a line at every line break that Unicode has."""
    return json.dumps(value, allow_nan=False)
