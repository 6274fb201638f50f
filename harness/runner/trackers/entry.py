"""What a tracker is told of a run: the same for each of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.records import Estimate
from harness.store.manifest import dump_json
from harness.store.result import RunResult


class Entry(NamedTuple):
    """A result as trackers take it: text and numbers under flat names, unknown ones left out."""

    name: str
    params: dict[str, str]
    """The whole configuration by dotted key. What is not set is left out."""
    metrics: dict[str, float]
    """By ``task/metric``, of the whole run by ``metric``; what is unknown is left out, never 0."""
    tags: dict[str, str]
    began_ms: int
    """Since 1970."""
    ended_ms: int
    result: Path
    """Its ``result.json``."""


def entry_of(result: RunResult, folder: Path) -> Entry:
    """What is told of this run."""
    manifest = result.manifest
    ended = manifest.finished_at or manifest.started_at
    return Entry(
        name=manifest.run_id,
        params=dict(_flat(manifest.config.model_dump(mode="json"))),
        metrics={
            name: value for each in result.estimates for name, value in _metrics(each).items()
        },
        tags=dict(_tags(result)),
        began_ms=round(manifest.started_at.timestamp() * 1000),
        ended_ms=round(ended.timestamp() * 1000),
        result=folder / "result.json",
    )


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case Mapping():
            for name, inner in value.items():
                yield from _flat(inner, f"{key}.{name}" if key else str(name))
        case str():
            yield key, value
        case _:
            yield key, dump_json(value)


def _metrics(estimate: Estimate) -> dict[str, float]:
    # MLflow allows no @ in a name: pass@8 is pass_at_8.
    name = estimate.metric.replace("@", "_at_")
    name = f"{estimate.task}/{name}" if estimate.task else name
    known = {name: estimate.value, f"{name}.low": estimate.low, f"{name}.high": estimate.high}
    return {key: value for key, value in known.items() if value is not None}


def _tags(result: RunResult) -> Iterator[tuple[str, str]]:
    manifest = result.manifest
    for task, fingerprint in manifest.protocol_fingerprints.items():
        yield f"fingerprint.{task}", fingerprint
    known = {
        "harness.version": manifest.provenance.harness_version,
        "harness.commit": manifest.provenance.git_commit,
        "model.revision": manifest.model.revision,
        "model.weights_sha256": manifest.model.sha256,
    }
    if (engine := manifest.engine) is not None:
        known |= {
            "engine.name": engine.name,
            "engine.version": engine.version,
            "engine.device": f"{engine.device_count} x {engine.device_name}",
        }
    yield from ((name, value) for name, value in known.items() if value is not None)
