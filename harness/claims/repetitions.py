"""A speed is one number of a run: its spread is that of repetitions, and it holds for a setting.

Repetitions are runs that differ in their seed and in nothing else. They are paired by seed, and
the logarithms of their ratios have a t-interval.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.claims.published import not_comparable
from harness.claims.runs import (
    AnyRun,
    Wanted,
    batch_size,
    concurrency,
    error_fraction,
    figure,
    fitting,
    has_too_many_errors,
    native_args,
)
from harness.claims.verdict import Bounds, Evidence
from harness.engines.identity import identity
from harness.records import EngineInfo
from harness.store.result import RunResult


def mechanism_only(stands_for: str) -> str:
    """The caveat of what small models show in a large one's place."""
    return f"shows the mechanism in a small model; what it comes to in {stands_for} it cannot show"


class Setting(NamedTuple):
    """All that must be the same for two speeds to be set against each other."""

    selection: str
    batch_size: int | None
    engine: str
    version: str
    device: str
    device_count: int
    dtype: str
    others: str
    """Further settings of the engine, without the switches of an ablation."""

    def words(self) -> str:
        """The setting as text."""
        batch = (
            "batch as the engine likes" if self.batch_size is None else f"batch {self.batch_size}"
        )
        return f"{batch}, {self.selection}, {self.device_count} x {self.device}"


class Ratio(NamedTuple):
    """How many times as much, from paired repetitions."""

    logs: tuple[float, ...]
    """Logarithm of the ratio in each repetition."""

    @property
    def value(self) -> float:
        """The geometric mean."""
        return float(np.exp(np.mean(self.logs)))

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Student's t over repetitions; None for fewer than two."""
        from scipy.stats import t

        n = len(self.logs)
        if n < 2:  # noqa: PLR2004 - a spread takes two
            return None
        middle = float(np.mean(self.logs))
        half = float(t.isf((1 - confidence) / 2, n - 1) * np.std(self.logs, ddof=1) / np.sqrt(n))
        return float(np.exp(middle - half)), float(np.exp(middle + half))

    def excludes(self, band: tuple[float, float], confidence: float = 0.95) -> bool:
        """Whether the interval lies wholly outside a band."""
        found = self.interval(confidence)
        return found is not None and (found[1] < band[0] or found[0] > band[1])

    def bounds(self, of: str, confidence: float = 0.95) -> tuple[Bounds, ...]:
        """The interval in the form of evidence."""
        found = self.interval(confidence)
        if found is None:
            return ()
        return (Bounds(low=found[0], high=found[1], confidence=confidence, of=of),)

    def words(self) -> str:
        """The setting as text."""
        found = self.interval(0.95)
        if found is None:
            return f"{self.value:.2f} times (one repetition: no interval)"
        return f"{self.value:.2f} times (95 % {found[0]:.2f} to {found[1]:.2f})"


def setting_of(run: RunResult, task: str, switches: Sequence[str] = ()) -> Setting:
    """The setting of a fitting run.

    Args:
        run: The run.
        task: What it asked.
        switches: Arguments of the engine that an ablation sets on and off.
    """
    engine, asked = run.manifest.engine, run.manifest.task(task)
    assert engine is not None, "a complete run has an engine"
    assert asked is not None, "unfit() rejects runs without it"
    return Setting(
        selection=asked.selection,
        batch_size=batch_size(run),
        engine=engine.name,
        version=engine.version,
        device=engine.device_name,
        device_count=engine.device_count,
        # "bfloat16, fp8 weights": the weights are what an ablation switches
        dtype=engine.dtype if switches else engine.precision,
        others=json.dumps(
            {
                name: value
                for name, value in {
                    **native_args(run),
                    "concurrency": concurrency(run),
                    **_environment(engine),
                }.items()
                if name not in (*switches, "max_num_seqs") and value is not None
            },
            sort_keys=True,
            default=str,
        ),
    )


def _environment(engine: EngineInfo) -> dict[str, Any]:
    """Variables that change figures, and the one setting that vLLM changes beside a switch.

    Other settings may follow from what is compared: another model, another draft.
    """
    names = ("environment.", "settings.async_scheduling")
    return {n: value for n, value in identity(engine).items() if n.startswith(names)}


def sort_out(runs: Sequence[AnyRun], wanted: Wanted) -> tuple[list[RunResult], list[Evidence]]:
    """The fitting runs, and why the others do not fit."""
    found, others = [], []
    for run in runs:
        fit = fitting(run, wanted)
        if not isinstance(fit, str) and has_too_many_errors(fit, wanted.task):
            fit = f"{100 * error_fraction(fit, wanted.task):.1f} % of its requests ended in errors"
        if isinstance(fit, str):
            others.append(not_comparable(run, fit))
        else:
            found.append(fit)
    return found, others


def by_seed(runs: Iterable[RunResult]) -> dict[int, RunResult]:
    """One repetition per seed; of several the first by id, whatever its figure."""
    found: dict[int, RunResult] = {}
    for run in sorted(runs, key=lambda run: run.manifest.run_id):
        found.setdefault(run.manifest.config.seed, run)
    return found


def value_of(run: RunResult, metric: str, task: str) -> float:
    """The figure of a fitting run."""
    value = figure(run, metric, task).value
    assert value is not None, "unfit() rejects runs without it"
    return value
