"""The door: all Estimates of a run from its samples."""

import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

from harness.config.pricing import Pricing
from harness.metrics.bill import estimate_costs
from harness.metrics.cost import Usage
from harness.metrics.energy_use import estimate_energy
from harness.metrics.inter_token import inter_token_latency
from harness.metrics.machine_use import MachineUse, use_seen
from harness.metrics.samples import NO_COUNTS, known_sum
from harness.records import ERROR_STATUSES, Completion, EngineInfo, Estimate, Sample
from harness.scorers.equivalence.canonical import canonical
from harness.stats.intervals import SEED
from harness.store.manifest import MACHINE_TIME

VOTING_SCORERS = ("math_answer",)
"""Scorers whose extracted answers can be counted as votes: programs never agree by spelling."""

Figures = Mapping[str, Mapping[str, Any]]


def estimate_all(
    samples: Sequence[Sample],
    engine: EngineInfo,
    pricing: Pricing,
    *,
    use: MachineUse | None = None,
    benchmark_sizes: Mapping[str, int] | None = None,
    seed: int = SEED,
) -> list[Estimate]:
    """Every number of a run: first each task's, by name, then those of the run as a whole.

    Args:
        samples: All attempts of all tasks, in any order, failed ones too.
        engine: What generated them.
        pricing: The price list.
        use: What the sessions used of the machine. None: what the answers show, which is less.
        benchmark_sizes: Problems of a task's whole benchmark, by task, where a random subset was
            run; a task that is not named was run whole.
        seed: Of the bootstraps.

    Raises:
        ValueError: A sample occurs twice.
    """
    _import_evaluate()
    ordered = sorted(samples, key=lambda s: (s.task, s.problem_id, s.index))
    _refuse_duplicates(ordered)
    tasks: dict[str, list[Sample]] = defaultdict(list)
    for sample in ordered:
        tasks[sample.task].append(sample)
    estimates = []
    with TemporaryDirectory(prefix="gegenprobe-") as scratch:
        for task, members in tasks.items():
            size = (benchmark_sizes or {}).get(task)
            estimates += _as_estimates(_task_figures(members, size, seed, scratch), task)
        every = [*ordered, *(() if use is None else use.failed_attempts)]
        figures = _run_figures(every, engine, use and use.whole_sessions, scratch)
        used = use or use_seen(figures["generation_s"]["value"], engine.load_s)
        estimates += _as_estimates({**figures, MACHINE_TIME: used.generating.as_figure()}, None)
        usage = Usage(
            device=engine.device,
            device_count=engine.device_count,
            generation_s=used.generating.seconds,
            is_generation_lower_bound=used.generating.is_lower_bound,
            load_s=used.loading.seconds,
            is_load_lower_bound=used.loading.is_lower_bound,
            load_method=used.loading.method,
            energy_joules=used.energy.joules,
            energy_source=used.energy.source,
            prompt_tokens=_prompt_total([s.completion for s in every]),
            completion_tokens=known_sum(s.completion.completion_tokens for s in every),
        )
        estimates += estimate_costs(ordered, usage, pricing, seed, scratch)
        estimates += estimate_energy(ordered, usage, seed)
    return estimates


def _import_evaluate() -> None:
    """Imports `evaluate` without transformers, where nothing has imported that yet.

    `evaluate` has pipelines for models that nobody here uses, and with them it imports torch:
    300 MB and seconds of every scoring. It does without when transformers is not to be had.
    """
    if "evaluate" in sys.modules or "transformers" in sys.modules:
        return
    sys.modules["transformers"] = None  # type: ignore[assignment]  # documented: "not to be had"
    try:
        import evaluate  # noqa: F401
    finally:
        del sys.modules["transformers"]


def _refuse_duplicates(samples: Iterable[Sample]) -> None:
    counts = Counter((s.task, s.problem_id, s.index) for s in samples)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise ValueError(f"{len(twice)} samples occur more than once, the first is {twice[0]}")


def _as_estimates(figures: Figures, task: str | None) -> list[Estimate]:
    return [Estimate(metric=name, task=task, **fields) for name, fields in figures.items()]


def _task_figures(
    samples: Sequence[Sample], benchmark_size: int | None, seed: int, scratch: str
) -> dict[str, Mapping[str, Any]]:
    from harness.metrics.accuracy.accuracy import Accuracy
    from harness.metrics.cons_at_k.cons_at_k import ConsAtK
    from harness.metrics.outcome_shares.outcome_shares import OutcomeShares
    from harness.metrics.pass_at_k.pass_at_k import PassAtK

    where = {"keep_in_memory": True, "cache_dir": scratch}
    graded = {
        "problem_ids": [s.problem_id for s in samples],
        "statuses": [s.verdict.status for s in samples],
    }
    figures: dict[str, Mapping[str, Any]] = {}
    figures |= Accuracy(**where).compute(**graded, benchmark_size=benchmark_size)
    figures |= OutcomeShares(**where).compute(statuses=graded["statuses"])
    most = _most_samples(samples)
    if most > 1:
        ks = _powers_up_to(most)
        figures |= PassAtK(**where).compute(**graded, k=ks)
        if all(s.verdict.scorer.startswith(VOTING_SCORERS) for s in samples):
            # One spelling is one vote: \dfrac12 votes with \frac{1}{2}.
            # Samples of a problem mostly agree, so most spellings are met before.
            spelling = {a: canonical(a) for a in {s.verdict.extracted or "" for s in samples}}
            answers = [spelling[s.verdict.extracted or ""] for s in samples]
            figures |= ConsAtK(**where).compute(**graded, answers=answers, k=ks)
    return {**figures, **_token_figures(samples, seed, scratch)}


def _run_figures(
    samples: Sequence[Sample],
    engine: EngineInfo,
    whole_sessions: Collection[int] | None,
    scratch: str,
) -> dict[str, Mapping[str, Any]]:
    from harness.metrics.latency.latency import Latency
    from harness.metrics.throughput.throughput import Throughput

    where = {"keep_in_memory": True, "cache_dir": scratch}
    every = [s.completion for s in samples]
    answered = [c for c in every if c.finish_reason != "error"]
    figures: dict[str, Mapping[str, Any]] = {}
    figures |= Throughput(**where).compute(
        max_concurrency=engine.max_concurrency,
        whole_sessions=whole_sessions,
        sessions=[s.session for s in samples],
        queued_s=[c.queued_s for c in every],
        started_s=[c.started_s for c in every],
        first_token_s=[c.first_token_s for c in every],
        finished_s=[c.finished_s for c in every],
        prompt_tokens=[c.prompt_tokens for c in every],
        cached_prompt_tokens=[c.cached_prompt_tokens for c in every],
        completion_tokens=[c.completion_tokens for c in every],
        waited_s=[c.waited_s for c in every],
    )
    figures |= Latency(**where).compute(
        queued_s=[c.queued_s for c in answered],
        sent_s=[c.sent_s for c in answered],
        started_s=[c.started_s for c in answered],
        first_token_s=[c.first_token_s for c in answered],
        finished_s=[c.finished_s for c in answered],
        completion_tokens=[c.completion_tokens for c in answered],
        reasoning_tokens=[c.reasoning_tokens for c in answered],
    )
    figures |= inter_token_latency(answered)
    return {**figures, **_token_totals(every), **_engine_figures(engine)}


def _token_figures(samples: Sequence[Sample], seed: int, scratch: str) -> Figures:
    from harness.metrics.token_counts.token_counts import TokenCounts

    answered = [s for s in samples if s.completion.finish_reason != "error"]
    figures: Figures = TokenCounts(keep_in_memory=True, cache_dir=scratch).compute(
        problem_ids=[s.problem_id for s in answered],
        prompt_tokens=[s.completion.prompt_tokens for s in answered],
        completion_tokens=[s.completion.completion_tokens for s in answered],
        reasoning_tokens=[s.completion.reasoning_tokens for s in answered],
        seed=seed,
    )
    return figures


def _token_totals(completions: Sequence[Completion]) -> Figures:
    totals = {
        "prompt_tokens.total": _prompt_total(completions),
        "completion_tokens.total": known_sum(c.completion_tokens for c in completions),
    }
    method = "sum over all requests, failed ones too"
    return {
        name: {
            "value": total,
            "unit": "tokens",
            "n": len(completions),
            "method": NO_COUNTS if total is None else method,
        }
        for name, total in totals.items()
    }


def _prompt_total(completions: Sequence[Completion]) -> int | None:
    """A failed request of which only the server could have told the prompt's tokens has none."""
    return known_sum(
        c.prompt_tokens
        for c in completions
        if c.finish_reason != "error" or c.prompt_tokens is not None
    )


def _engine_figures(engine: EngineInfo) -> Figures:
    peak = engine.peak_memory_source or "source not recorded"
    given = {
        "load_s": (engine.load_s, "s", "loading and warm-up, in no rate"),
        "peak_memory_bytes": (engine.peak_memory_bytes, "bytes", f"highest seen: {peak}"),
    }
    return {
        name: {
            "value": value,
            "unit": unit,
            "n": 0 if value is None else 1,
            "method": method if value is not None else "undefined: the engine did not report it",
        }
        for name, (value, unit, method) in given.items()
    }


def _most_samples(samples: Iterable[Sample]) -> int:
    """Most samples that any problem has, errors left out."""
    counts = Counter(s.problem_id for s in samples if s.verdict.status not in ERROR_STATUSES)
    return max(counts.values(), default=0)


def _powers_up_to(most: int) -> list[int]:
    """2, 4, 8 … and the largest itself."""
    powers = [2**e for e in range(1, most.bit_length()) if 2**e <= most]
    return powers if powers and powers[-1] == most else [*powers, most]
