"""Baselines of a night: a named run, or one of ``results/baselines``."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.analysis.comparison import Side, side_of
from harness.errors import StoreError, UserError
from harness.interop.readers import harness_of
from harness.store.manifest import RunManifest
from harness.store.result import RunResult, load
from harness.store.run_files import find_result

log = logging.getLogger(__name__)


class Baseline(NamedTuple):
    """A run that nights are compared with."""

    side: Side
    manifest: RunManifest

    @property
    def label(self) -> str:
        """The name in findings."""
        return f"baseline {self.side.name.label}"


def named_baselines(
    names: Sequence[str], models: Sequence[str], results_dir: Path
) -> list[Baseline]:
    """The baselines on the command line, at most one per model.

    Raises:
        UserError: One is of no model of tonight, or is the second for its model.
        StoreError: There is no such run, or it has no result.
    """
    found: dict[str, Baseline] = {}
    for name in names:
        file = find_result(name, results_dir)
        if harness_of(file) is not None:
            raise UserError(f"--baseline {name}: another harness's file; give a run of ours")
        baseline = _read(file)
        model = baseline.manifest.config.model.name
        if model not in models:
            raise UserError(
                f"--baseline {name}: its model is {model}; tonight runs {', '.join(models)}"
            )
        if model in found:
            raise UserError(f"--baseline {name}: a second baseline for {model}; give one per model")
        found[model] = baseline
    return list(found.values())


def kept_baselines(results_dir: Path) -> list[Baseline]:
    """The baselines in ``results/baselines``; a file that is no result is logged and left out."""
    found = []
    for file in sorted((results_dir / "baselines").glob("*.json")):
        try:
            found.append(_read(file))
        except StoreError as error:
            log.warning("%s; not used as a baseline", error)
    return found


def _read(file: Path) -> Baseline:
    result = load(file)
    return Baseline(side_of(result, file), result.manifest)


def choose_baseline(
    result: RunResult, named: Sequence[Baseline], kept: Sequence[Baseline]
) -> Baseline | None:
    """The named one of this model; else the kept one that fits best, None where none fits.

    A kept one fits when it is of the same model and of the same protocol in every task that
    tonight has. Of several the one with tonight's engine is taken, then the newest.
    """
    manifest = result.manifest
    model = manifest.config.model.name
    for baseline in named:
        if baseline.manifest.config.model.name == model:
            return baseline
    fitting = [
        baseline
        for baseline in kept
        if baseline.manifest.config.model.name == model
        and manifest.protocol_fingerprints.items()
        <= baseline.manifest.protocol_fingerprints.items()
    ]
    return max(
        fitting,
        key=lambda each: (_engine(each.manifest) == _engine(manifest), each.manifest.started_at),
        default=None,
    )


def _engine(manifest: RunManifest) -> str | None:
    return manifest.engine.name if manifest.engine else None
