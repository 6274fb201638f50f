"""Reads the settings in an aggregate of Every Eval Ever, by the names of ``conf/protocol``."""

from collections.abc import Mapping
from typing import Any

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_new_tokens",
}
"""Keys of ``generation_args``."""
_SHOTS = ("num_fewshot", "fewshot")
"""Keys in ``additional_details``, whose values are texts: lm-evaluation-harness's, and our own."""


def protocol_settings(
    generation_args: Mapping[str, Any] | None, additional_details: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The protocol settings in a ``generation_config``; unstated ones are left out.

    Args:
        generation_args: As in the file.
        additional_details: As in the file.
    """
    args, details = generation_args or {}, additional_details or {}
    found = {ours: args[key] for key, ours in _SAMPLING.items() if args.get(key) is not None}
    shots = [text for key in _SHOTS if (text := str(details.get(key, ""))).isdecimal()]
    return {**found, "fewshot": int(shots[0])} if shots else found
