"""Small models in a large one's place: a proxy against its dense counterpart, a cost, a home PC."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.claims.claim import CostBelowPrice, HomePc, ProxyRatio
from harness.claims.published import (
    cap_if_unreliable,
    caveats_for,
    challenge_p,
    not_comparable,
    run_evidence,
    subset_of,
)
from harness.claims.repetitions import (
    Ratio,
    Setting,
    by_seed,
    mechanism_only,
    setting_of,
    sort_out,
    value_of,
)
from harness.claims.runs import AnyRun, Wanted, batch_size, counts, figure, fitting, quantization
from harness.claims.verdict import Decision, Evidence
from harness.models.memory import BITS_PER_BYTE, kv_bytes, weight_bytes
from harness.quantities.published import precisions
from harness.stats.replication import lower_bound
from harness.store.result import RunResult


def proxy_ratios(block: ProxyRatio, runs: Sequence[AnyRun]) -> list[Evidence]:
    """A verdict for each setting in which both models ran; they must agree."""
    models = (block.model, block.baseline)
    wanted = Wanted(block.task, block.metric, block.protocol, models, is_score=False)
    fitting, evidence = sort_out(runs, wanted)
    settings: dict[Setting, dict[str, list[RunResult]]] = defaultdict(lambda: defaultdict(list))
    for run in fitting:
        settings[setting_of(run, block.task)][run.manifest.config.model.name].append(run)
    for setting, sides in sorted(settings.items(), key=str):
        proxy, dense = (by_seed(sides.get(name, [])) for name in models)
        seeds = sorted(proxy.keys() & dense.keys())
        if seeds:
            evidence.append(_proxy_ratio(block, setting, [(proxy[s], dense[s]) for s in seeds]))
            continue
        evidence += [
            not_comparable(
                run,
                f"no run of the other model with seed {run.manifest.config.seed} at "
                f"{setting.words()}",
            )
            for side in sides.values()
            for run in side
        ]
    return evidence


def _proxy_ratio(
    block: ProxyRatio, setting: Setting, pairs: Sequence[tuple[RunResult, RunResult]]
) -> Evidence:
    values = [tuple(value_of(run, block.metric, block.task) for run in pair) for pair in pairs]
    ratio = Ratio(tuple(float(np.log(mine / other)) for mine, other in values))
    found = ratio.interval(0.95)
    verdict: Decision = "inconclusive"
    if found is not None and (found[0] > 1 or found[1] < 1):
        verdict = "reproduced" if (found[0] > 1) == (block.better == "more") else "challenged"
    return run_evidence(
        [run for pair in pairs for run in pair],
        f"{block.model} against {block.baseline}, {setting.words()}: {block.metric} "
        f"{ratio.words()}",
        verdict,
        model=block.model,
        numbers={
            "ratio": ratio.value,
            "repetitions": len(pairs),
            block.model: float(np.mean([mine for mine, _ in values])),
            block.baseline: float(np.mean([other for _, other in values])),
        },
        arithmetic="geometric mean of the ratios of runs with the same seed",
        intervals=ratio.bounds("ratio"),
        p=challenge_p(lambda level: _is_opposite(ratio, block, level)),
        caveats=(mechanism_only(block.stands_for),),
    )


def _is_opposite(ratio: Ratio, block: ProxyRatio, confidence: float) -> bool:
    """Whether the interval lies on the wrong side of 1."""
    found = ratio.interval(confidence)
    return found is not None and (found[1] < 1 if block.better == "more" else found[0] > 1)


# --- cost below a price -----------------------------------------------------------------------


def costs(block: CostBelowPrice, runs: Sequence[AnyRun]) -> list[Evidence]:
    """A verdict of each run; where they differ, it depends on the load."""
    wanted = Wanted(block.task, block.metric, block.protocol, block.models, is_score=False)
    fitting, evidence = sort_out(runs, wanted)
    return evidence + [_cost(block, run) for run in fitting]


def _cost(block: CostBelowPrice, run: RunResult) -> Evidence:
    value, price = value_of(run, block.metric, block.task), block.price_usd_per_million_tokens
    load = figure(run, "mean_concurrency", block.task).value
    verdict: Decision = "reproduced" if value < price else "challenged"
    is_least = run.cost_bound("rented") == "lower"
    if is_least and verdict == "reproduced":
        verdict = "inconclusive"  # the true cost may be above the price
    words = "unknown" if load is None else f"{load:.1f}"
    estimate = figure(run, block.metric, block.task)
    return run_evidence(
        [run],
        f"{run.manifest.config.model.name}: {'at least ' * is_least}{value:.3g} USD for a "
        f"million output tokens against {price:g} ({block.price_of}), {words} answers under way at "
        "once",
        verdict,
        numbers={"usd_per_million_output_tokens": value, "price": price, "mean_concurrency": load},
        arithmetic=estimate.method,
        caveats=(
            "one measurement, without an interval; people and idle time come on top",
            *subset_of(run, block.task),
            *([f"quantised weights: {quantization(run)}"] if quantization(run) else []),
        ),
    )


# --- a home PC --------------------------------------------------------------------------------


def home_pcs(block: HomePc, runs: Sequence[AnyRun]) -> list[Evidence]:
    """A verdict of each model that has runs; any that meets all conditions decides.

    The score is of a run of the whole benchmark on whatever device, memory and speed are of a
    run on a CPU that answers one request at a time, with weights as wide.
    """
    wanted = Wanted(block.task, block.metric, block.protocol, block.models)
    scores, evidence = [], []
    speeds = []
    for run in runs:
        score = fitting(run, wanted)
        speed = fitting(run, wanted._replace(is_score=False, metric="output_tokens_per_s"))
        if not isinstance(speed, str) and _is_one_stream_on_cpu(speed):
            speeds.append(speed)
        elif isinstance(score, str):
            evidence.append(not_comparable(run, score))
        else:
            scores.append(score)
    for model in block.models:
        of_scores, of_speeds = (
            [run for run in each if run.manifest.config.model.name == model]
            for each in (scores, speeds)
        )
        if of_scores or of_speeds:
            evidence.append(_home_pc(block, model, of_scores, of_speeds))
    return evidence


def _is_one_stream_on_cpu(run: RunResult) -> bool:
    engine = run.manifest.engine
    return engine is not None and engine.device == "cpu" and batch_size(run) == 1


def _home_pc(
    block: HomePc, model: str, scores: Sequence[RunResult], speeds: Sequence[RunResult]
) -> Evidence:
    parts = [_good_enough(block, scores), _fast_enough(block, speeds), _small_enough(block, speeds)]
    answers = [part.holds for part in parts]
    verdict: Decision = "inconclusive"
    if all(answers):
        verdict = "reproduced"
    elif answers[0] is False:  # 16 bits that are too large or too slow say nothing of 4
        verdict = "challenged"
    caveats = [caveat for run in scores for caveat in caveats_for(run, block.task)]
    engines = [run.manifest.engine for run in speeds]
    caveats += [f"the speed is that of {each.device_name}" for each in engines if each]
    return run_evidence(
        [*scores, *speeds],
        f"{model}: {'; '.join(part.words for part in parts)}",
        verdict,
        model=model,
        numbers={name: value for part in parts for name, value in part.numbers.items()},
        caveats=tuple(dict.fromkeys(caveats)),
    )


class Condition(NamedTuple):
    """One of those that make a home PC; None where a run is missing."""

    holds: bool | None
    words: str
    numbers: Mapping[str, float | None]


def _good_enough(block: HomePc, runs: Sequence[RunResult]) -> Condition:
    """Non-inferior if the interval lies above the bound, inferior if below, else unknown."""
    least = (block.reference_percent - block.margin_points) / 100
    whole = [
        run for run in runs if cap_if_unreliable("reproduced", run, block.task) == "reproduced"
    ]
    if not whole:
        what = "with few enough truncated or failed" if runs else "of the whole benchmark"
        return Condition(None, f"no run {what}", {"score_low": None})
    found = [_bounds(run, block.task) for run in whole]
    low, high = max(low for low, _ in found), max(high for _, high in found)
    holds = True if low > least else False if high < least else None
    words = f"score {100 * low:.1f} to {100 * high:.1f} % (90 %), {100 * least:.1f} needed"
    return Condition(holds, words, {"score_low": low, "score_high": high, "score_needed": least})


def _bounds(run: RunResult, task: str) -> tuple[float, float]:
    """One-sided 95 % bounds from below and from above."""
    solved, samples = counts(run, task)
    failed = [k - c for c, k in zip(solved, samples, strict=True)]
    low, missed = lower_bound(solved, samples), lower_bound(failed, samples)
    return low or 0.0, 1 - (missed or 0.0)


def _fast_enough(block: HomePc, runs: Sequence[RunResult]) -> Condition:
    rates = [value_of(run, "output_tokens_per_s", block.task) for run in runs]
    if not rates:
        return Condition(None, "no run of one stream on a CPU", {"output_tokens_per_s": None})
    rate, least = min(rates), block.min_output_tokens_per_s
    words = f"{rate:.1f} tokens/s on a CPU, {'' if rate >= least else 'not '}the {least:g} needed"
    # Too slow at this width says nothing of narrower weights, nor of another CPU.
    return Condition(True if rate >= least else None, words, {"output_tokens_per_s": rate})


def _small_enough(block: HomePc, runs: Sequence[RunResult]) -> Condition:
    sizes = [size for run in runs if (size := _memory_bytes(block, run)) is not None]
    if not sizes:
        return Condition(None, "memory unknown", {"memory_bytes": None})
    size, limit = max(sizes), block.cpu_memory_bytes
    words = (
        f"{size / 1e9:.1f} GB of memory, {'' if size <= limit else 'not '}within {limit / 1e9:g}"
    )
    # Too much at this width says nothing of narrower weights.
    return Condition(True if size <= limit else None, words, {"memory_bytes": size})


def _memory_bytes(block: HomePc, run: RunResult) -> float | None:
    """Weights and cache by arithmetic, or what the run held at its height, whichever is more."""
    engine, model = run.manifest.engine, run.manifest.config.model
    if engine is None or model.parameters is None or model.shape is None:
        return None
    is_float32 = engine.dtype == "float32" and engine.quantization is None
    bits = 32.0 if is_float32 else precisions()["bf16"].bits_per_weight
    cache = kv_bytes(model.shape, block.context_tokens, int(bits // BITS_PER_BYTE))
    weights = weight_bytes(model.parameters, bits)
    return max(weights + cache, engine.peak_memory_bytes or 0)
