"""The block ``gegenprobe`` of an export: facts that make it comparable and have no other key."""

from typing import Any

from harness import __version__
from harness.store.manifest import TaskInfo
from harness.store.result import RunResult

NAME = "gegenprobe"


def block(result: RunResult, task: TaskInfo) -> dict[str, Any]:
    """The run of one task, with all that its protocol's fingerprint is made of."""
    manifest = result.manifest
    return {
        "schema_version": 1,
        "run_id": manifest.run_id,
        "exported_by": __version__,
        "protocol_fingerprint": manifest.protocol_fingerprints[task.name],
        "protocol_fields": {task.name: manifest.protocol_fields[task.name]},
    }
