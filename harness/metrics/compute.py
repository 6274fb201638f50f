"""Entry point: computes all estimates of a run from its samples."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.config.pricing import Pricing
from harness.metrics.bill import estimate_costs
from harness.metrics.correctness import accuracy, cons_at_k, outcome_shares, pass_at_k
from harness.metrics.cost import Usage
from harness.metrics.energy_use import estimate_energy
from harness.metrics.engine_speed import throughput
from harness.metrics.figures import figure, unknown
from harness.metrics.inter_token import inter_token_latency
from harness.metrics.latencies import latency
from harness.metrics.machine_use import MachineUse, use_seen
from harness.metrics.samples import NO_COUNTS, known_sum
from harness.metrics.token_lengths import token_counts
from harness.records import ERROR_STATUSES, Completion, EngineInfo, Estimate, Sample
from harness.scorers.build import find_definition
from harness.stats.intervals import SEED
from harness.store.manifest import MACHINE_TIME


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
    ordered = sorted(samples, key=lambda s: (s.task, s.problem_id, s.index))
    _refuse_duplicates(ordered)
    tasks: dict[str, list[Sample]] = defaultdict(list)
    for sample in ordered:
        tasks[sample.task].append(sample)
    estimates: list[Estimate] = []
    for task, members in tasks.items():
        found = _of_task(members, (benchmark_sizes or {}).get(task), seed)
        estimates += [each.model_copy(update={"task": task}) for each in found]
    every = [*ordered, *(() if use is None else use.failed_attempts)]
    speeds = throughput(every, engine.max_concurrency, use and use.whole_sessions)
    seconds = next(each.value for each in speeds if each.metric == "generation_s")
    used = use or use_seen(seconds, engine.load_s)
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
    answered = [s for s in every if s.completion.finish_reason != "error"]
    return [
        *estimates,
        *speeds,
        *latency(answered),
        *inter_token_latency(answered),
        *_token_totals(usage, len(every)),
        *_of_engine(engine),
        used.generating.as_estimate(MACHINE_TIME),
        *estimate_costs(ordered, usage, pricing, seed),
        *estimate_energy(ordered, usage, seed),
    ]


def _refuse_duplicates(samples: Iterable[Sample]) -> None:
    counts = Counter((s.task, s.problem_id, s.index) for s in samples)
    if twice := [key for key, count in counts.items() if count > 1]:
        raise ValueError(f"{len(twice)} samples occur more than once, the first is {twice[0]}")


def _of_task(
    samples: Sequence[Sample], benchmark_size: int | None, seed: int
) -> Iterable[Estimate]:
    yield from accuracy(samples, benchmark_size)
    yield from outcome_shares(samples)
    most = _most_samples(samples)
    if most > 1:
        yield from pass_at_k(samples, _powers_up_to(most))
        if (spelling := _spelling(samples)) is not None:
            yield from cons_at_k(samples, _powers_up_to(most), spelling=spelling)
    answered = [s for s in samples if s.completion.finish_reason != "error"]
    yield from token_counts(answered, seed)


def _token_totals(usage: Usage, requests: int) -> list[Estimate]:
    totals = {
        "prompt_tokens.total": usage.prompt_tokens,
        "completion_tokens.total": usage.completion_tokens,
    }
    method = "sum over all requests, failed ones too"
    return [
        unknown(name, "tokens", NO_COUNTS, n=requests)
        if total is None
        else figure(name, total, "tokens", requests, method)
        for name, total in totals.items()
    ]


def _prompt_total(completions: Sequence[Completion]) -> int | None:
    """Sum of the prompts' tokens, without failed requests whose count only the server knew."""
    return known_sum(
        c.prompt_tokens
        for c in completions
        if c.finish_reason != "error" or c.prompt_tokens is not None
    )


def _of_engine(engine: EngineInfo) -> list[Estimate]:
    peak = engine.peak_memory_source or "source not recorded"
    given = {
        "load_s": (engine.load_s, "s", "loading and warm-up, in no rate"),
        "peak_memory_bytes": (engine.peak_memory_bytes, "bytes", f"highest seen: {peak}"),
    }
    return [
        unknown(name, unit, "the engine did not report it")
        if value is None
        else figure(name, value, unit, 1, method)
        for name, (value, unit, method) in given.items()
    ]


def _most_samples(samples: Iterable[Sample]) -> int:
    """Most samples that any problem has, errors left out."""
    counts = Counter(s.problem_id for s in samples if s.verdict.status not in ERROR_STATUSES)
    return max(counts.values(), default=0)


def _spelling(samples: Sequence[Sample]) -> Callable[[str], str] | None:
    """How answers are spelt as votes; None where equal answers have no equal spelling."""
    scorers = {sample.verdict.scorer.partition("@")[0] for sample in samples}
    scorer = find_definition(scorers.pop()) if len(scorers) == 1 else None
    return None if scorer is None else scorer.spelling


def _powers_up_to(most: int) -> list[int]:
    """2, 4, 8 … and the largest itself."""
    powers = [2**e for e in range(1, most.bit_length()) if 2**e <= most]
    return powers if powers and powers[-1] == most else [*powers, most]
