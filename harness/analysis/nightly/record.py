"""The record of one model's night: a line of the history."""

import hashlib
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from pydantic import Field

from harness.config.pricing import BASES
from harness.engines.identity import identity, is_told
from harness.records import Count, Record
from harness.store.manifest import RunManifest
from harness.store.result import RunResult

NightStatus = Literal["done", "crashed", "stopped"]

ACCURACY = "accuracy"
SPEED = "output_tokens_per_s"
TOKENS = "completion_tokens.mean"
COST = "cost_per_solved"
TRUNCATED = "share.truncated"
ERRORS = "share.errors"

_ERROR_SHARES = ("share.scorer_error", "share.generation_error")
_SHA256_DIGITS = 64
_SHOWN_DIGITS = 12


class NightFigure(Record):
    """One figure of a night."""

    metric: str
    task: str | None
    """The task; None for a figure of the whole run."""
    unit: str
    value: float | None
    low: float | None = None
    """This and ``high``: the 95 % interval."""
    high: float | None = None
    n: Count
    is_whole: bool | None = None
    """For a cost: False where it is a lower bound, because the machine was in use for longer than
    the files show. None in an older line, which left out what killed sessions used."""

    @property
    def key(self) -> str:
        """``humaneval/accuracy``; only the metric for a figure of the whole run."""
        return f"{self.task}/{self.metric}" if self.task else self.metric


class NightFinding(Record):
    """One comparison of tonight with what was before."""

    figure: str
    """The figure's key, as in ``NightFigure.key``."""
    against: str
    """``baseline RUN``, ``middle night RUN`` or ``median of N nights``."""
    value: float
    reference: float
    limit: float | None
    """The limit beyond which the figure is worse; None where a test decides."""
    p: float | None
    """One-sided, of a loss no larger than the margin, adjusted by Holm for the tasks."""
    is_regression: bool


class Night(Record):
    """One model's run of one night: a line of the history, which outlives the run's folder.

    ``night_of`` makes it of a result; a night that made none has a line too.
    """

    schema_version: Literal[1] = 1
    night: date
    label: str
    """Which of the night's jobs: the model, and the experiment where it is not ``nightly``."""
    model: str
    status: NightStatus
    exit_status: int | None
    """Exit status of ``harness run``; negative: the signal that killed it. None where unknown."""
    error: str | None = None
    """Why there is no result, or what else the run complained of; one line."""
    run_id: str | None = None
    log: str | None = None
    """Name of the file in ``nightly/logs``."""
    started_at: datetime
    finished_at: datetime | None = None
    setting: dict[str, str] = Field(default_factory=dict)
    """What must agree for two nights to be in one series: protocol, weights, engine with its
    resolved settings and environment, prices."""
    versions: dict[str, str] = Field(default_factory=dict)
    """What may change within a series and is marked: commit, driver, packages."""
    figures: tuple[NightFigure, ...] = ()
    findings: tuple[NightFinding, ...] = ()

    @property
    def is_regression(self) -> bool:
        """Whether anything was found worse."""
        return any(finding.is_regression for finding in self.findings)

    @property
    def night_exit_status(self) -> int:
        """Exit status of a night with only this run: 0, 4 or 5. A regression outranks errors."""
        if self.is_regression:
            return 5
        return 0 if self.status == "done" and self.exit_status == 0 and not self.error else 4

    def figure(self, key: str) -> NightFigure | None:
        """A figure by its key; None where this night has none."""
        return next((figure for figure in self.figures if figure.key == key), None)

    def value(self, key: str) -> float | None:
        """The value of a figure; None where unknown."""
        figure = self.figure(key)
        return None if figure is None else figure.value


class Change(NamedTuple):
    """A field in which a night differs from the one before."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        """A phrase for people."""
        return f"{self.field} {self.before} -> {self.after}"


def changes(before: dict[str, str], after: dict[str, str]) -> list[Change]:
    """The differences, by name."""
    return [
        Change(name, before.get(name, "none"), after.get(name, "none"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def setting_changes(before: dict[str, str], after: dict[str, str]) -> list[Change]:
    """The parts of a setting that both nights record and in which they differ."""
    return [
        change
        for change in changes(before, after)
        if is_told(change.field, before, after, "engine.")
    ]


def night_of(started: Night, result: RunResult, exit_status: int, error: str | None) -> Night:
    """The line of a night whose run has a result."""
    manifest = result.manifest
    return started.model_copy(
        update={
            "status": "done",
            "exit_status": exit_status,
            "error": error,
            "run_id": manifest.run_id,
            "setting": setting_of(result),
            "versions": versions_of(manifest),
            "figures": tuple(figures_of(result)),
        }
    )


def setting_of(result: RunResult) -> dict[str, str]:
    """Everything that must agree for two nights to be compared, flat and as text."""
    manifest = result.manifest
    fields: dict[str, Any] = {}
    for task, protocol in manifest.protocol_fields.items():
        fields |= {f"{task}.{name}": value for name, value in protocol.items()}
    model, engine = manifest.model, manifest.engine
    fields |= {"weights": model.sha256, "weights.revision": model.revision}
    configures = manifest.config.engine
    configured = configures.model_dump(mode="json", exclude=set(configures.unlike_nightly))
    fields |= {f"engine.{name}": value for name, value in configured.items()}
    if engine is not None:  # what it resolved, in place of an "auto"
        fields |= {
            "engine": engine.name,
            "engine.version": engine.version,
            "engine.device": f"{engine.device_count} x {engine.device_name}",
            "engine.dtype": engine.precision,
            **{f"engine.{name}": value for name, value in identity(engine).items()},
        }
    if manifest.merged_from:  # times and rates are of one worker at a time
        fields["workers"] = len(manifest.merged_from)
    prices = hashlib.sha256(result.pricing.model_dump_json().encode()).hexdigest()
    fields["prices"] = f"{result.pricing.name} {prices[:_SHOWN_DIGITS]}"
    return {name: _text(value) for name, value in fields.items()}


def versions_of(manifest: RunManifest) -> dict[str, str]:
    """Versions of the code, the driver and the packages."""
    made = manifest.provenance
    commit = (made.git_commit or "unknown")[:_SHOWN_DIGITS]
    return {
        "commit": f"{commit} with changes" if made.git_dirty else commit,
        "harness": made.harness_version,
        "python": made.python,
        "host": made.host,
        **({"driver": made.gpus[0].driver} if made.gpus else {}),
        **made.packages,
    }


def figures_of(result: RunResult) -> list[NightFigure]:
    """The figures that are followed from night to night, as far as the run has them."""
    known = result.by_name()
    basis = next((b for b in BASES if (f"{COST}.{b}", None) in known), None)
    wanted: list[tuple[str, str | None]] = [(SPEED, None)]
    wanted += [(f"{COST}.{basis}", None)] if basis else []
    for task in result.manifest.tasks:
        wanted += [(metric, task.name) for metric in (ACCURACY, TOKENS, TRUNCATED)]
    found = [
        NightFigure(
            metric=each.metric,
            task=each.task,
            unit=each.unit,
            value=each.value,
            low=each.low,
            high=each.high,
            n=each.n,
            is_whole=each.bound is None,
        )
        for each in (known.get(name) for name in wanted)
        if each is not None
    ]
    for task in result.manifest.tasks:
        shares = [result.estimate(metric, task.name) for metric in _ERROR_SHARES]
        values = [each.value for each in shares if each.value is not None]
        found.append(
            NightFigure(
                metric=ERRORS,
                task=task.name,
                unit="fraction",
                value=sum(values) if len(values) == len(_ERROR_SHARES) else None,
                n=max(each.n for each in shares),
            )
        )
    return found


def _text(value: Any) -> str:
    text = "none" if value is None else str(value)
    is_digest = len(text) == _SHA256_DIGITS and text.isalnum()
    return text[:_SHOWN_DIGITS] if is_digest else text
