"""The table at the end of a run, and the one line of JSON that programs read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.records import Estimate, VerdictStatus
from harness.store import RunResult

OUTCOMES: tuple[tuple[str, tuple[VerdictStatus, ...]], ...] = (
    ("correct", ("correct",)),
    ("incorrect", ("incorrect",)),
    ("no answer", ("no_answer",)),
    ("truncated", ("truncated",)),
    ("errors", ("scorer_error", "generation_error")),
)
RUN_FIGURES = (
    "output_tokens_per_s",
    "prefill_tokens_per_s",
    "ttft_s.p50",
    "ttft_s.p99",
    "time_per_output_token_s.p50",
    "latency_s.p50",
    "latency_s.p99",
    "completion_tokens.total",
    "load_s",
    "peak_memory_bytes",
    "cost.rented",
    "cost.owned",
    "cost.api",
    "cost_per_solved.rented",
    "cost_per_solved.owned",
    "cost_per_solved.api",
)


def print_summary(result: RunResult, folder: Path, reasons: Iterable[str]) -> None:
    """Prints what came of a run to stderr."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    manifest = result.manifest
    engine = manifest.engine
    assert engine is not None  # build_result has seen to it
    console.print()
    console.print(
        f"[bold]{manifest.config.model.name}[/bold] on {engine.name} {engine.version}, "
        f"{engine.device_name}, {engine.dtype}; protocol {manifest.config.protocol.name}"
    )
    console.print(_task_table(result))
    console.print(_run_table(result))
    for reason in reasons:
        console.print(f"[bold red]exit status 4:[/bold red] {reason}")
    console.print(f"files: {folder}")


def _task_table(result: RunResult) -> Table:
    table = Table(show_edge=False)
    table.add_column("task")
    for name in ("problems", "samples", "accuracy", "95 % interval"):
        table.add_column(name, justify="right")
    for name, _ in OUTCOMES:
        table.add_column(name, justify="right")
    for name in ("tokens/answer", "of it thinking"):
        table.add_column(name, justify="right")
    for task in result.manifest.tasks:
        mine = [o for o in result.outcomes if o.request_id.startswith(f"{task.name}/")]
        counts = [sum(o.status in statuses for o in mine) for _, statuses in OUTCOMES]
        accuracy = _find(result, "accuracy", task.name)
        table.add_row(
            task.selection,
            str(task.problems),
            str(len(mine)),
            _percent(accuracy.value if accuracy else None),
            _interval(accuracy),
            *(f"[red]{n}[/red]" if n and i == len(counts) - 1 else str(n)
              for i, n in enumerate(counts)),
            _figure(_find(result, "completion_tokens.mean", task.name)),
            _figure(_find(result, "reasoning_tokens.mean", task.name)),
        )
    return table


def _run_table(result: RunResult) -> Table:
    table = Table(show_header=False, show_edge=False, box=None)
    for metric in RUN_FIGURES:
        found = _find(result, metric, None)
        if found is None:
            continue
        value = _figure(found)
        if found.low is not None and found.high is not None:
            value += f" [dim]({_number(found.low)} to {_number(found.high)})[/dim]"
        if found.value is None:
            value = f"unknown [dim]({found.method})[/dim]"
        elif found.unit == "USD":
            value += f" [dim]{result.pricing.name} prices[/dim]"
        table.add_row(metric, value)
    return table


def headline(result: RunResult, folder: Path) -> dict[str, Any]:
    """What stdout's last line says: where the run is, and its figures by name."""
    wanted = {"accuracy", *RUN_FIGURES}
    figures: dict[str, Any] = {}
    for estimate in result.estimates:
        if estimate.metric in wanted:
            key = f"{estimate.task}/{estimate.metric}" if estimate.task else estimate.metric
            figures[key] = estimate.model_dump(include={"value", "unit", "n", "low", "high"})
    return {
        "run_id": result.manifest.run_id,
        "path": str(folder),
        "status": result.manifest.status,
        "estimates": figures,
    }


def _find(result: RunResult, metric: str, task: str | None) -> Estimate | None:
    return next((e for e in result.estimates if e.metric == metric and e.task == task), None)


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f} %"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "unknown"
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _figure(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "unknown"
    if estimate.unit == "bytes":
        return f"{estimate.value / 1e9:.2f} GB"
    return f"{_number(estimate.value)} {estimate.unit}"
