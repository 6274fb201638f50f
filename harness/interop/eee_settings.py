"""The settings that an aggregate of Every Eval Ever gives, by the names of ``conf/protocol``."""

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
"""In ``additional_details``, whose values are texts: of lm-evaluation-harness, and our own."""


def protocol_settings(
    generation_args: Mapping[str, Any] | None, additional_details: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What ``generation_config`` says of a protocol; what it does not say is left out.

    Args:
        generation_args: As in the file.
        additional_details: As in the file.
    """
    args, details = generation_args or {}, additional_details or {}
    found = {ours: args[key] for key, ours in _SAMPLING.items() if args.get(key) is not None}
    shots = [text for key in _SHOTS if (text := str(details.get(key, ""))).isdecimal()]
    return {**found, "fewshot": int(shots[0])} if shots else found
