"""A result in the form that trackers take: text and numbers under flat names."""

from collections.abc import Iterator, Mapping
from typing import Any

from harness.records import Estimate
from harness.store.manifest import dump_json
from harness.store.result import RunResult


def params_of(result: RunResult) -> dict[str, str]:
    """The whole configuration by dotted key; unset values are left out."""
    return dict(_flat(result.manifest.config.model_dump(mode="json")))


def metrics_of(result: RunResult) -> dict[str, float]:
    """Values by ``task/metric``, or ``metric`` for the whole run; unknown ones are left out."""
    return {name: value for each in result.estimates for name, value in _metrics(each).items()}


def tags_of(result: RunResult) -> dict[str, str]:
    """Tags that distinguish the run: protocol, weights, engine, and the version of the code."""
    return dict(_tags(result))


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
