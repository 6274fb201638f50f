"""Checks before anything is loaded: what would fail, or run badly.

``memory`` compares the plan with the device's free memory, ``disk`` with the folder's free space,
``missing`` with the files on this machine; ``model`` compares weights, tokenizer and protocol.

``memory`` sets the plan against what the device has free, ``disk``
against what the folder has, ``missing`` against what lies on this machine, ``model`` sets weights,
tokenizer and protocol against each other.
"""

from harness.runner.preflight.disk import LEAST_FREE_BYTES, check_disk, disk_note, written_bytes
from harness.runner.preflight.memory import (
    FreeMemory,
    MemoryPlan,
    check_memory,
    check_requirements,
    free_memory,
    is_on_cpu,
    memory_needed_bytes,
    memory_notes,
    plan_memory,
)
from harness.runner.preflight.missing import (
    Missing,
    draft_to_fetch,
    is_offline,
    missing,
    no_network,
    refuse_missing,
)
from harness.runner.preflight.model import load_checked
from harness.runner.preflight.sizes import sizes_of

__all__ = [
    "LEAST_FREE_BYTES",
    "FreeMemory",
    "MemoryPlan",
    "Missing",
    "check_disk",
    "check_memory",
    "check_requirements",
    "disk_note",
    "draft_to_fetch",
    "free_memory",
    "is_offline",
    "is_on_cpu",
    "load_checked",
    "memory_needed_bytes",
    "memory_notes",
    "missing",
    "no_network",
    "plan_memory",
    "refuse_missing",
    "sizes_of",
    "written_bytes",
]
