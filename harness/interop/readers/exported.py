"""Reads back our own exports in other projects' formats."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import JsonValue, ValidationError

from harness.interop.export.block import NAME
from harness.interop.readers.parts import Part, describe
from harness.interop.readers.records import DamagedError
from harness.records import VerdictStatus

BLOCK = NAME
"""The key it is under."""
_STATUSES = frozenset(get_args(VerdictStatus))


class _Block(Part):
    protocol_fields: dict[str, dict[str, JsonValue]]


def exported_protocols(block: Any, file: Path) -> Mapping[str, Mapping[str, Any]]:
    """By task, the protocol of the exported run; empty where it was no run of ours.

    Args:
        block: What is under ``gegenprobe``: an object, or that as JSON.
        file: For messages.

    Raises:
        DamagedError: It is not as we write it.
    """
    if block is None:
        return {}
    try:
        if isinstance(block, str):
            return _Block.model_validate_json(block).protocol_fields
        return _Block.model_validate(block).protocol_fields
    except ValidationError as error:
        raise DamagedError(file, BLOCK, describe(error)) from error


def own_status(metadata: Mapping[str, Any] | None) -> VerdictStatus | None:
    """Our status of an exported answer; None for an answer of another harness."""
    status = (metadata or {}).get("status")
    return status if status in _STATUSES else None


def own_opened_think(metadata: Mapping[str, Any] | None) -> bool:
    """Whether the prompt of an answer that was exported ended inside a thought."""
    return (metadata or {}).get("opened_think") in (True, "true")
