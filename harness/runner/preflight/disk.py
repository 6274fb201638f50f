"""Compares the free disk space of the results folder with what a run writes."""

import shutil
from pathlib import Path

from harness.config.settings import ProtocolConfig
from harness.errors import StoreError

# A run folder below this would not even hold its problems and prompts.
LEAST_FREE_BYTES = 64 << 20
BYTES_PER_TOKEN = 4.5
"""Bytes per token of a completion's text as JSON: 2.6 to 3.3 in recorded runs of code and maths."""
BYTES_PER_REQUEST = 2_000
"""Bytes of a request besides its text: the rest of the completion, verdict and outcome (about
1,500) and the prompt."""
HOPELESS = 50
"""A disk with less than the worst case divided by this factor is refused: no run stays that
short."""


def written_bytes(protocol: ProtocolConfig, requests: int) -> int:
    """Bytes that a run writes when every answer takes its whole token budget."""
    return round(requests * (protocol.max_new_tokens * BYTES_PER_TOKEN + BYTES_PER_REQUEST))


def check_disk(folder: Path, at_most_bytes: int | None = None) -> None:
    """Refuses a folder that is not writable, or whose disk holds only a sliver of the run.

    Raises:
        StoreError: There is not.
    """
    free = _free_bytes(folder)
    if free < LEAST_FREE_BYTES:
        raise StoreError(
            f"results_dir={folder}: {free >> 20} MiB free there, "
            f"a run needs at least {LEAST_FREE_BYTES >> 20} MiB; free some, or name another folder"
        )
    if at_most_bytes is not None and free * HOPELESS < at_most_bytes:
        raise StoreError(
            f"results_dir={folder}: {_size(free)} free there, this run writes up to "
            f"{_size(at_most_bytes)}; give it another disk"
        )


def disk_note(folder: Path, at_most_bytes: int) -> str | None:
    """A note on a disk that the worst case would fill; None where there is enough space."""
    free = _free_bytes(folder)
    if free >= at_most_bytes:
        return None
    return (
        f"results_dir={folder}: {_size(free)} free there, this run writes {_size(at_most_bytes)} "
        "if every answer takes its whole budget"
    )


def _free_bytes(folder: Path) -> int:
    existing = folder
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"  # noqa: PLR2004
