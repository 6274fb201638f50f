"""Checks disk space for results and models, and write permission."""

import shutil
import tempfile
from pathlib import Path

from harness.doctor.finding import Finding
from harness.io.paths import cache_dir
from harness.runner.preflight import LEAST_FREE_BYTES

GROUP = "disk"
_LITTLE_BYTES = 20_000_000_000
"""Below this, the disk cannot hold a 7B model and some runs of it."""


def look_at_storage(results_dir: Path) -> list[Finding]:
    """The results, the hub's cache and the cache of converted models."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return [
        look_at_folder("results", results_dir, "results_dir=FOLDER (or free some space)"),
        look_at_folder("hub cache", Path(HF_HUB_CACHE), "HF_HUB_CACHE=FOLDER (or hf cache prune)"),
        look_at_folder("model cache", cache_dir(), "HARNESS_CACHE_DIR=FOLDER"),
    ]


def look_at_folder(name: str, folder: Path, remedy: str) -> Finding:
    """One folder, which need not exist yet. Writes a file without a name, to see if it can."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"0")
    except OSError as error:
        value = f"{folder} cannot be written: {error.strerror}"
        return Finding(group=GROUP, name=name, status="missing", value=value, remedy=remedy)
    free = shutil.disk_usage(existing).free
    value = f"{free / 1e9:.1f} GB free in {folder}"
    if free < LEAST_FREE_BYTES:
        return Finding(group=GROUP, name=name, status="missing", value=value, remedy=remedy)
    if free < _LITTLE_BYTES:
        return Finding(group=GROUP, name=name, status="warn", value=value, remedy=remedy)
    return Finding(group=GROUP, name=name, status="ok", value=value)
