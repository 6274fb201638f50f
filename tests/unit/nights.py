"""Made-up nights: what the rules and the page are tried on, without running anything."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from harness.analysis.nightly.record import Night, NightFigure, NightFinding

FIRST = date(2026, 11, 1)
SETTING = {"math500.sampling.temperature": "0.6", "weights": "abc", "engine.version": "0.32.0"}
VERSIONS = {"commit": "33615a3b255d", "driver": "570.86", "torch": "2.13.0"}


def made_up_night(number: int, **changed: Any) -> Night:
    """A night that went well, the ``number``-th since the first, but for what is changed.

    ``speed``, ``accuracy``, ``tokens``, ``truncated``, ``errors`` and ``cost`` are its figures.
    """
    label = changed.pop("label", "r1_distill_qwen_7b")
    accuracy, n = changed.pop("accuracy", 0.85), 100
    given = {
        "output_tokens_per_s": (None, "tokens/s", changed.pop("speed", 3000.0)),
        "cost_per_solved.rented": (None, "USD", changed.pop("cost", 0.002)),
        "accuracy": ("math500", "fraction", accuracy),
        "completion_tokens.mean": ("math500", "tokens", changed.pop("tokens", 3500.0)),
        "share.truncated": ("math500", "fraction", changed.pop("truncated", 0.03)),
        "share.errors": ("math500", "fraction", changed.pop("errors", 0.0)),
    }
    figures = tuple(
        NightFigure(
            metric=metric,
            task=task,
            unit=unit,
            value=value,
            low=max(value - 0.08, 0) if metric == "accuracy" else None,
            high=min(value + 0.07, 1) if metric == "accuracy" else None,
            n=n,
            is_whole=True,
        )
        for metric, (task, unit, value) in given.items()
    )
    day = FIRST + timedelta(days=number)
    begun = datetime.combine(day, time(2), UTC)
    fields: dict[str, Any] = {
        "night": day,
        "label": label,
        "model": label,
        "status": "done",
        "exit_status": 0,
        "run_id": f"run-{label}-{number}",
        "started_at": begun,
        "finished_at": begun + timedelta(minutes=30),
        "setting": SETTING,
        "versions": VERSIONS,
        "figures": figures,
    }
    return Night(**(fields | changed))


def crashed_night(number: int, **changed: Any) -> Night:
    """A night without a result."""
    fields = {
        "status": "crashed",
        "exit_status": -9,
        "error": "killed by SIGKILL",
        "figures": (),
        "setting": {},
        "versions": {},
    }
    return made_up_night(number, **(fields | changed))


def regression(figure: str, value: float, reference: float) -> NightFinding:
    """A finding that the page has to mark."""
    return NightFinding(
        figure=figure,
        against="median of 7 nights",
        value=value,
        reference=reference,
        limit=0.9 * reference,
        p=None,
        is_regression=True,
    )
