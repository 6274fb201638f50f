"""From samples to estimates: by hand where a number can be counted, offline where it is loaded."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.config.pricing import ApiPrice, Basis, OwnedPrice, Pricing, RentedPrice
from harness.io.token_gaps import bin_of
from harness.machine.energy import NOT_MEASURED, Energy
from harness.metrics.bill import cost_per_solved
from harness.metrics.budget import budget_curve
from harness.metrics.compute import estimate_all
from harness.metrics.correctness import accuracy, cons_at_k, outcome_shares, pass_at_k
from harness.metrics.engine_speed import throughput
from harness.metrics.latencies import latency
from harness.metrics.machine_use import MachineUse, Span
from harness.metrics.token_lengths import token_counts
from harness.records import Completion, EngineInfo, Estimate, Sample, Verdict
from harness.store.manifest import BudgetPoint
from tests.engines import made_up_engine
from tests.facts import known, mentions

REPO = Path(__file__).resolve().parents[2]
METRICS_DIR = REPO / "harness" / "metrics"
METRICS = (
    "accuracy",
    "cons_at_k",
    "cost_per_solved",
    "latency",
    "outcome_shares",
    "pass_at_k",
    "throughput",
    "token_counts",
)
ENGINE = made_up_engine(
    device_count=2, load_s=30.0, peak_memory_bytes=1000, peak_memory_source="nvml"
)
NOTHING = Pricing(name="none")
WHERE = {"source": "a list", "date": "2026-10-07", "grade": "S"}
ALL_PRICES = Pricing(
    name="all",
    rented=RentedPrice(usd_per_hour=1.8, unit="gpu", **WHERE),
    owned=OwnedPrice(usd_per_kwh=0.36, **WHERE),
    api=ApiPrice(input_usd_per_million_tokens=0, output_usd_per_million_tokens=2, **WHERE),
)


def _sample(
    problem: str,
    index: int,
    status: str = "correct",
    *,
    session: int = 0,
    extracted: str | None = None,
    scorer: str = "math_answer@3",
    **completion: Any,
) -> Sample:
    """A sample of ``task/problem`` that ran from second 1 to 11 and wrote 101 tokens."""
    request_id = f"{problem}#{index}"
    fields: dict[str, Any] = {
        "text": "",
        "finish_reason": "error" if status == "generation_error" else "stop",
        "prompt_tokens": 20,
        "completion_tokens": 101,
        "reasoning_tokens": 60,
        "queued_s": 0.0,
        "started_s": 1.0,
        "first_token_s": 3.0,
        "finished_s": 11.0,
    }
    return Sample(
        task=problem.partition("/")[0],
        problem_id=problem,
        index=index,
        session=session,
        completion=Completion(request_id=request_id, **(fields | completion)),
        verdict=Verdict(
            request_id=request_id, status=status, extracted=extracted, scorer=scorer, wall_s=0.0
        ),
    )


def _all(
    samples: list[Sample],
    pricing: Pricing = NOTHING,
    *,
    energy: Energy = NOT_MEASURED,
    engine: EngineInfo = ENGINE,
    **options: Any,
) -> list[Estimate]:
    """Of one session that generated for 10 s."""
    spans = Span(10.0, False, 1, "made up"), Span(30.0, False, 1, "made up")
    options = {"use": MachineUse(*spans, energy), **options}
    return estimate_all(samples, engine, pricing, **options)


def _one(estimates: list[Estimate], metric: str, task: str | None = None) -> Estimate:
    (found,) = [e for e in estimates if (e.metric, e.task) == (metric, task)]
    return found


# --- evaluate ----------------------------------------------------------------------------------

LOADS_ALL = """
import sys, evaluate
import tests.unit.test_metrics as t
metrics = {}
for path in sys.argv[1:]:
    metric = evaluate.load(path)
    metrics[metric.name] = metric
    given, function = t.given_to(metric.name)
    expected = {e.metric: e.model_dump(exclude={"metric", "task"}) for e in function()}
    found = metric.compute(**given)
    print(metric.name, len(found) > 0, found == expected)
found = metrics["pass_at_k"].compute(
    problem_ids=["a", "a", "b", "b"],
    statuses=["correct", "incorrect", "incorrect", "truncated"],
    k=[1, 2],
)
print([found[name]["value"] for name in ("pass@1", "pass@2")])
try:
    metrics["outcome_shares"].compute(statuses=["correct", "solved"])
except ValueError as error:
    print("solved" in str(error))
"""


def given_to(metric: str) -> tuple[dict[str, Any], Callable[[], list[Estimate]]]:
    """The columns and options of an `evaluate` metric, and the function that it stands for."""
    samples = [sample for sample in _many(problems=30) if sample.task == "math"]
    samples = [replace(sample, session=sample.index % 2) for sample in samples]
    each = [sample.completion for sample in samples]
    costs = [0.25 * (number % 3) for number in range(len(samples))]
    columns = {
        "problem_ids": [sample.problem_id for sample in samples],
        "statuses": [sample.verdict.status for sample in samples],
        "answers": [sample.verdict.extracted or "" for sample in samples],
        "sessions": [sample.session for sample in samples],
        "costs_usd": costs,
        **{name: [getattr(c, name) for c in each] for name in Completion.model_fields},
    }
    times = ["queued_s", "started_s", "first_token_s", "finished_s"]
    lengths = ["prompt_tokens", "completion_tokens"]
    served = [*times, *lengths, "cached_prompt_tokens", "waited_s", "sessions"]
    graded = ["problem_ids", "statuses"]
    load = {"max_concurrency": 4, "whole_sessions": [1]}
    table: dict[str, tuple[list[str], dict[str, Any], Callable[..., Any]]] = {
        "accuracy": (graded, {"benchmark_size": 500}, accuracy),
        "cons_at_k": ([*graded, "answers"], {"k": [2, 3]}, cons_at_k),
        "cost_per_solved": ([*graded, "costs_usd"], {"seed": 3}, partial(cost_of, costs)),
        "latency": ([*times, "sent_s", "completion_tokens", "reasoning_tokens"], {}, latency),
        "outcome_shares": (["statuses"], {}, outcome_shares),
        "pass_at_k": (graded, {"k": [1, 3]}, pass_at_k),
        "throughput": (served, load, throughput),
        "token_counts": (["problem_ids", *lengths, "reasoning_tokens"], {"seed": 3}, token_counts),
    }
    names, options, function = table[metric]
    given = {name: columns[name] for name in names}
    return {**given, **options}, partial(function, samples, **options)


def cost_of(costs: list[float], samples: list[Sample], **options: Any) -> list[Estimate]:
    return cost_per_solved(samples, costs, **options)


def test_every_metric_loads_by_its_folder_and_gives_the_figures_of_a_run(tmp_path: Path) -> None:
    environment = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": str(REPO),
        # Nothing listens there: a request that is made in spite of the above fails.
        "HF_ENDPOINT": "http://127.0.0.1:9",
    }
    paths = [str(METRICS_DIR / name) for name in METRICS]
    done = subprocess.run(
        [sys.executable, "-c", LOADS_ALL, *paths],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = [f"{name} True True" for name in METRICS]
    assert done.stdout.splitlines() == [*loaded, "[0.25, 0.5]", "True"]


def test_no_package_of_data_frames_or_models_is_imported_for_estimates() -> None:
    """`evaluate` brings Arrow, pandas and, where it is there, torch: seconds of every scoring."""
    code = (
        "import sys\n"
        "import tests.unit.test_metrics as t\n"
        "assert t._all(t._many(problems=30), t.ALL_PRICES)\n"
        "heavy = {'evaluate', 'datasets', 'pyarrow', 'pandas', 'torch', 'transformers'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_no_heavy_package_is_imported_before_a_metric_is_computed() -> None:
    code = (
        "import sys, harness.metrics, harness.metrics.cost, harness.stats.intervals\n"
        "heavy = {'evaluate', 'datasets', 'scipy', 'statsmodels', 'pandas', 'torch'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_computing_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    code = (
        "from harness.metrics import compute\n"
        "import tests.unit.test_metrics as t\n"
        "print(len(t._all([t._sample('math/a', 0), t._sample('math/b', 0)])))"
    )
    environment = os.environ | {
        "HOME": str(tmp_path),
        "HF_HOME": str(tmp_path / "hf"),
        "PYTHONPATH": str(REPO),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


# --- accuracy and its relatives ----------------------------------------------------------------


def test_accuracy_is_the_mean_over_problems_and_errors_are_in_no_denominator() -> None:
    estimates = _all(
        [
            _sample("math/a", 0, "correct"),
            _sample("math/a", 1, "scorer_error"),
            _sample("math/b", 0, "correct"),
            _sample("math/b", 1, "truncated"),
            _sample("math/c", 0, "no_answer"),
            _sample("math/c", 1, "incorrect"),
            _sample("math/d", 0, "generation_error"),
        ]
    )
    found = _one(estimates, "accuracy", "math")
    assert (found.value, found.n) == ((1 + 0.5 + 0) / 3, 3)
    assert found.low is not None
    assert found.high is not None
    assert found.low < known(found.value) < found.high
    assert mentions(found.method, "5 samples", "3 problems", "2 errors")


def test_shares_count_everything_and_sum_to_one() -> None:
    statuses = ["correct", "incorrect", "no_answer", "truncated", "scorer_error"]
    samples = [_sample("math/a", i, s) for i, s in enumerate([*statuses, "generation_error"] * 2)]
    shares = [e for e in _all(samples) if e.metric.startswith("share.")]
    assert {e.metric.removeprefix("share.") for e in shares} == {*statuses, "generation_error"}
    assert [e.value for e in shares] == [pytest.approx(1 / 6)] * 6
    assert {e.n for e in shares} == {12}


def test_pass_at_k_and_majority_are_given_for_several_samples() -> None:
    votes = [("correct", "7"), ("correct", "7"), ("incorrect", "8"), ("no_answer", None)]
    samples = [_sample("math/a", i, s, extracted=x) for i, (s, x) in enumerate(votes)]
    samples += [_sample("math/b", i, "incorrect", extracted="9") for i in range(4)]
    estimates = _all(samples)
    assert _one(estimates, "accuracy", "math").value == 0.25
    assert _one(estimates, "pass@2", "math").value == pytest.approx((5 / 6) / 2)
    assert _one(estimates, "pass@4", "math").value == 0.5
    assert _one(estimates, "cons@4", "math").value == 0.5


def test_a_problem_with_too_few_samples_is_not_in_pass_at_k() -> None:
    samples = [_sample("math/a", i) for i in range(3)] + [_sample("math/b", 0, "incorrect")]
    found = _one(_all(samples), "pass@3", "math")
    assert (found.value, found.n) == (1.0, 1)
    assert "1 problems had < 3 samples" in found.method


def test_a_problem_with_too_few_samples_is_not_in_cons_at_k() -> None:
    """64 samples of one problem say nothing of 29 others."""
    samples = [_sample("math/a", i, extracted="7") for i in range(64)]
    samples += [_sample(f"math/{i}", 0, "incorrect", extracted="1") for i in range(29)]
    found = _one(_all(samples), "cons@64", "math")
    assert (found.value, found.n) == (1.0, 1)
    assert "29 problems had < 64 samples" in found.method


def test_of_a_problem_with_more_samples_the_first_k_vote() -> None:
    votes = ["7", "7", "8", "8", "8"]
    samples = [
        _sample("math/a", i, "correct" if v == "7" else "incorrect", extracted=v)
        for i, v in enumerate(votes)
    ]
    samples += [_sample("math/b", i, "incorrect", extracted="9") for i in range(2)]
    estimates = _all(samples)
    assert _one(estimates, "cons@2", "math").value == 0.5
    assert _one(estimates, "cons@5", "math").value == 0.0


def test_a_first_sample_without_an_answer_does_not_stop_the_vote() -> None:
    samples = [_sample("math/a", 0, "no_answer"), _sample("math/a", 1, extracted="7")]
    assert _one(_all(samples), "cons@2", "math").value == 1.0


def test_programs_do_not_vote() -> None:
    samples = [_sample("code/a", i, extracted="def f(): ...", scorer="exec@1") for i in range(2)]
    assert not any(e.metric.startswith("cons@") for e in _all(samples))


def test_one_sample_per_problem_gives_neither_pass_at_k_nor_majority() -> None:
    metrics = {e.metric for e in _all([_sample("math/a", 0), _sample("math/b", 0)])}
    assert not any(m.startswith(("pass@", "cons@")) for m in metrics)


def test_accuracy_is_never_averaged_over_tasks() -> None:
    estimates = _all([_sample("math/a", 0), _sample("code/a", 0, "incorrect")])
    assert _one(estimates, "accuracy", "math").value == 1.0
    assert _one(estimates, "accuracy", "code").value == 0.0
    of_tasks = ("accuracy", "share.", "pass@", "cons@")
    assert not [e for e in estimates if e.task is None and e.metric.startswith(of_tasks)]


def test_a_subset_of_a_benchmark_has_a_larger_error() -> None:
    samples = [
        _sample(f"math/{p}", i, "correct" if p < 5 + i else "incorrect")
        for p in range(10)
        for i in range(2)
    ]
    whole = _one(_all(samples), "accuracy_se.fixed_benchmark", "math")
    part = _one(_all(samples, benchmark_sizes={"math": 500}), "accuracy_se.fixed_benchmark", "math")
    assert whole.value is not None
    assert part.value is not None
    assert part.value > whole.value
    assert "10 of 500 problems" in part.method


def test_one_score_has_an_interval_for_each_question() -> None:
    samples = [
        _sample(f"math/{p}", i, "correct" if p < 20 + 3 * i else "incorrect")
        for p in range(40)
        for i in range(4)
    ]
    estimates = _all(samples)
    names = ("accuracy", "accuracy.fixed_benchmark")
    new, fixed = (_one(estimates, name, "math") for name in names)
    assert new.value == fixed.value == 98 / 160
    # Decoding noise alone is less than that of other problems too.
    assert known(new.low) < known(fixed.low) < known(fixed.high) < known(new.high)


@pytest.mark.parametrize("count", [1, 4])
def test_a_score_that_does_not_vary_has_no_standard_error_of_zero(count: int) -> None:
    samples = [_sample(f"math/{p}", i, "correct") for p in range(40) for i in range(count)]
    estimates = _all(samples)
    for name in ("accuracy_se.fixed_benchmark", "accuracy_se.new_problems"):
        assert _one(estimates, name, "math").value is None
    for each in estimates:
        if each.low is not None and each.high is not None:
            assert each.low < each.high, each.metric


# --- time --------------------------------------------------------------------------------------


def test_throughput_counts_tokens_from_first_start_to_last_finish() -> None:
    estimates = _all(
        [
            _sample("math/a", 0, started_s=1.0, finished_s=11.0, completion_tokens=100),
            _sample("math/b", 0, started_s=5.0, finished_s=21.0, completion_tokens=300),
        ]
    )
    assert _one(estimates, "generation_s").value == 20.0
    assert _one(estimates, "output_tokens_per_s").value == 20.0
    assert _one(estimates, "mean_concurrency").value == (10 + 16) / 20


def test_idle_time_between_two_sessions_does_not_count() -> None:
    late: dict[str, Any] = {
        "queued_s": 1000.0,
        "started_s": 1001.0,
        "first_token_s": 1002.0,
        "finished_s": 1011.0,
    }
    samples = [_sample("math/a", 0), _sample("math/b", 0, session=1, **late)]
    found = _one(_all(samples), "output_tokens_per_s")
    assert found.value == pytest.approx(202 / 20)
    assert "2 sessions" in found.method


def _steady(samples: list[Sample], places: int | None, metric: str) -> Estimate:
    engine = ENGINE.model_copy(update={"max_concurrency": places})
    return _one(_all(samples, engine=engine), metric)


def _served(*times: tuple[float, float, float, int]) -> list[Sample]:
    return [
        _sample(
            f"math/{i}",
            0,
            queued_s=0.0,
            started_s=start,
            first_token_s=first,
            finished_s=finish,
            completion_tokens=tokens,
            reasoning_tokens=None,
        )
        for i, (start, first, finish, tokens) in enumerate(times)
    ]


FULL = _served((0, 1, 5, 9), (0, 2, 8, 13), (5, 6, 16, 11))
"""Two places: from second 2, when both have a token, to 8, when nobody takes the second one."""


def test_steady_state_is_from_all_places_taken_to_the_first_that_stays_empty() -> None:
    # Until second 2 the first request wrote 3 of its 9 tokens, the second one 1; until 8 the
    # second one all 13, the third one 3 of its 11.
    assert _steady(FULL, 2, "steady_state_s").value == 6.0
    rate = _steady(FULL, 2, "output_tokens_per_s.steady_state")
    assert rate.value == pytest.approx(((9 - 3) + (13 - 1) + 3) / 6)
    assert _steady(FULL, 2, "mean_concurrency.steady_state").value == 2.0


@pytest.mark.parametrize("places", [2, None])
def test_a_request_that_is_tried_again_puts_no_drain_into_the_steady_state(
    places: int | None,
) -> None:
    """It is handed over at second 16, when the batch of the others has drained."""
    again: dict[str, Any] = {
        "queued_s": 16.0,
        "started_s": 16.0,
        "first_token_s": 17.0,
        "finished_s": 30.0,
    }
    samples = [*FULL, _sample("math/again", 0, **again)]
    for metric in (
        "steady_state_s",
        "output_tokens_per_s.steady_state",
        "mean_concurrency.steady_state",
    ):
        assert _steady(samples, places, metric) == _steady(FULL, places, metric)


def _resumed(whole: frozenset[int] | None) -> list[Estimate]:
    """Figures of a run that was resumed; of the first session two answers were under way."""
    late: dict[str, Any] = {
        "queued_s": 100.0,
        "started_s": 100.0,
        "first_token_s": 101.0,
        "finished_s": 111.0,
    }
    rest = [_sample(f"math/late{i}", 0, session=1, **late) for i in range(2)]
    engine = ENGINE.model_copy(update={"max_concurrency": 2})
    spans = Span(27.0, False, 2, "made up"), Span(30.0, False, 2, "made up")
    return _all([*FULL, *rest], engine=engine, use=MachineUse(*spans, whole_sessions=whole))


def test_a_session_that_lost_answers_is_in_no_steady_state() -> None:
    estimates = _resumed(frozenset({1}))
    assert _one(estimates, "steady_state_s").value == 10.0
    rate = _one(estimates, "output_tokens_per_s.steady_state")
    assert rate.value == pytest.approx((100 + 100) / 10)
    assert mentions(rate.method, "1 sessions")
    assert _one(_resumed(None), "steady_state_s").value == 6.0 + 10.0
    nothing = _one(_resumed(frozenset()), "steady_state_s")
    assert (nothing.value, nothing.n) == (None, 0)
    assert nothing.undefined is not None


@pytest.mark.parametrize(
    ("whole", "bound"), [(None, None), (frozenset({0, 1}), None), (frozenset({1}), "lower")]
)
def test_rates_of_a_run_that_lost_answers_are_lower_bounds(
    whole: frozenset[int] | None, bound: str | None
) -> None:
    estimates = _resumed(whole)
    assert _one(estimates, "output_tokens_per_s").bound == bound
    assert _one(estimates, "mean_concurrency").bound == bound


def test_a_limit_that_is_not_known_is_seen_where_requests_wait() -> None:
    assert _steady(FULL, None, "steady_state_s").value == 6.0
    at_once = _served((0, 1, 5, 9), (0, 2, 8, 13))
    assert _steady(at_once, None, "steady_state_s").value is None


def test_one_long_answer_beside_31_short_ones() -> None:
    """The whole rate is that of the long one alone; while all ran it was 32 times as much."""
    samples = _served(*[(0, 1, 11, 101)] * 31, (0, 1, 1001, 10_001))
    estimates = _all(samples, engine=ENGINE.model_copy(update={"max_concurrency": 32}))
    assert _one(estimates, "output_tokens_per_s").value == pytest.approx(13.12, abs=0.01)
    assert _one(estimates, "mean_concurrency").value == pytest.approx((31 * 11 + 1001) / 1001)
    assert _one(estimates, "output_tokens_per_s.steady_state").value == pytest.approx(320)
    assert _one(estimates, "mean_concurrency.steady_state").value == 32.0


@pytest.mark.parametrize(
    ("samples", "places"),
    [
        (FULL, 4),  # never so many
        (_served((0, 1, 2, 9), (0, 3, 8, 13)), 2),  # one had ended before the other's first token
        ([_sample("math/a", 0, first_token_s=None)], 1),
        ([_sample("math/a", 0, started_s=None)], 1),
    ],
)
def test_an_engine_that_was_never_full_has_no_steady_state_and_says_why(
    samples: list[Sample], places: int
) -> None:
    for metric in ("output_tokens_per_s.steady_state", "mean_concurrency.steady_state"):
        found = _steady(samples, places, metric)
        assert (found.value, found.n) == (None, 0)
        assert found.undefined is not None


def test_prefill_counts_shared_time_once() -> None:
    """In prefill from 0 to 3 and from 5 to 6, which is 4 s, for 60 prompt tokens."""
    times = [(0.0, 2.0), (1.0, 3.0), (5.0, 6.0)]
    samples = [
        _sample(f"math/{i}", 0, started_s=start, first_token_s=first, cached_prompt_tokens=0)
        for i, (start, first) in enumerate(times)
    ]
    found = _one(_all(samples), "computed_prefill_tokens_per_s")
    assert found.value == pytest.approx(60 / 4)
    assert found.bound == "lower"


def test_a_prompt_that_is_read_once_for_64_samples_counts_once() -> None:
    samples = [
        _sample(
            "math/a", i, prompt_tokens=2000, cached_prompt_tokens=2000 if i else 0,
            started_s=0.0, first_token_s=0.2,
        )
        for i in range(64)
    ]  # fmt: skip
    found = _one(_all(samples), "computed_prefill_tokens_per_s")
    assert found.value == pytest.approx(10_000)


def test_prefill_is_unknown_where_an_engine_does_not_tell_what_it_computed() -> None:
    samples = [_sample("math/a", 0, cached_prompt_tokens=0), _sample("math/b", 0)]
    found = _one(_all(samples), "computed_prefill_tokens_per_s")
    assert (found.value, found.bound) == (None, None)


def test_latency_of_one_request_by_hand() -> None:
    """It waited from second 0 to 1, and the field's times count from there."""
    estimates = _all([_sample("math/a", 0, sent_s=0.5)])
    by_hand = {
        "queue_wait_s": 1.0,
        "time_to_first_token_s": 2.0,
        "time_per_output_token_s": 0.08,
        "request_latency_s": 10.0,
        "time_to_answer_token_s": 2.0 + 60 * 0.08,
        "client_ttft_s": 2.5,
        "client_latency_s": 10.5,
    }
    for metric, expected in by_hand.items():
        for rank in (50, 90, 99):
            assert _one(estimates, f"{metric}.p{rank}").value == pytest.approx(expected)
    assert "interpolated" in _one(estimates, "time_to_answer_token_s.p50").method


def test_a_long_queue_is_no_time_to_first_token() -> None:
    late: dict[str, Any] = {"started_s": 487.8, "first_token_s": 488.6, "finished_s": 500.0}
    estimates = _all([_sample("math/a", 0, **late)])
    assert _one(estimates, "time_to_first_token_s.p50").value == pytest.approx(0.8)
    assert _one(estimates, "queue_wait_s.p50").value == pytest.approx(487.8)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"first_token_s": None}, {"time_to_first_token_s", "time_per_output_token_s"}),
        ({"queued_s": None}, {"queue_wait_s"}),
        ({"started_s": None}, {"time_to_first_token_s", "request_latency_s", "queue_wait_s"}),
        ({}, {"client_ttft_s", "client_latency_s"}),
        ({"reasoning_tokens": None}, {"time_to_answer_token_s"}),
        ({"reasoning_tokens": 101}, {"time_to_answer_token_s"}),
        ({"completion_tokens": 1, "reasoning_tokens": 0}, {"time_per_output_token_s"}),
    ],
)
def test_what_cannot_be_known_is_none(changes: dict[str, Any], missing: set[str]) -> None:
    estimates = _all([_sample("math/a", 0, **changes)])
    for metric in missing:
        found = _one(estimates, f"{metric}.p50")
        assert (found.value, found.n) == (None, 0)
        assert found.undefined is not None


def test_without_thinking_the_first_token_is_the_first_answer_token() -> None:
    estimates = _all([_sample("math/a", 0, reasoning_tokens=0)])
    assert _one(estimates, "time_to_answer_token_s.p50").value == 2.0


def test_a_request_that_broke_has_no_latency_but_its_time_counts() -> None:
    broken = _sample("math/b", 0, "generation_error", completion_tokens=0, finished_s=21.0)
    estimates = _all([_sample("math/a", 0), broken])
    assert _one(estimates, "request_latency_s.p50").n == 1
    assert _one(estimates, "generation_s").value == 20.0


def test_gaps_between_tokens_are_pooled_over_all_answers() -> None:
    slow = {bin_of(0.5): 1, bin_of(0.01): 99}
    samples = [
        _sample("math/a", 0, token_gaps=slow),
        _sample("math/b", 0, token_gaps={bin_of(0.01): 100}),
    ]
    estimates = _all(samples)
    assert _one(estimates, "inter_token_latency_s.mean").value == pytest.approx(0.08)
    assert _one(estimates, "inter_token_latency_s.p50").value == pytest.approx(0.01, rel=0.025)
    assert _one(estimates, "inter_token_latency_s.p99").n == 200
    samples = [_sample("math/c", i, token_gaps=slow) for i in range(2)]
    assert _one(_all(samples), "inter_token_latency_s.p99").value == pytest.approx(0.01, rel=0.025)
    silent = [*samples, _sample("math/d", 0)]
    assert _one(_all(silent), "inter_token_latency_s.p50").value is None
    assert _one(_all(silent), "inter_token_latency_s.mean").value == pytest.approx(0.08)


def test_an_answer_of_one_token_has_no_gap_and_adds_no_seconds_to_their_mean() -> None:
    """The stream of a server may end later than its only token came."""
    one = _sample("math/one", 0, completion_tokens=1, reasoning_tokens=None)
    told = _sample("math/a", 0, token_gaps={bin_of(0.08): 100})
    for metric in ("inter_token_latency_s.mean", "inter_token_latency_s.p50"):
        assert _one(_all([told, one]), metric) == _one(_all([told]), metric)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_times_the_figures_of_time_fit_together(seed: int) -> None:
    chance = random.Random(seed)
    samples = []
    for number in range(chance.randint(1, 60)):
        queued = chance.choice([0.0, 0.0, 0.0, 40.0])
        moments = [queued]
        for _ in range(3):
            moments.append(moments[-1] + chance.choice([0.0, chance.expovariate(0.1)]))
        names = ("queued_s", "started_s", "first_token_s", "finished_s")
        tokens = chance.randint(1, 500)
        more: dict[str, Any] = {
            "completion_tokens": tokens,
            "reasoning_tokens": chance.randint(0, tokens),
        }
        times: dict[str, Any] = dict(zip(names, moments, strict=True))
        samples.append(_sample(f"math/{number}", 0, **times, **more))
    places = chance.choice([None, 1, 4, len(samples)])
    estimates = _all(samples, engine=ENGINE.model_copy(update={"max_concurrency": places}))

    def value(metric: str) -> float | None:
        return _one(estimates, metric).value

    for rank in (50, 90, 99):
        first, answer, last = (
            value(f"{name}.p{rank}")
            for name in ("time_to_first_token_s", "time_to_answer_token_s", "request_latency_s")
        )
        assert known(first) <= known(last)
        assert answer is None or answer >= 0
        assert known(value(f"queue_wait_s.p{rank}")) >= 0
    span, window = value("generation_s"), value("steady_state_s")
    if window is not None:
        assert 0 < window <= known(span) + 1e-9
        tokens_inside = known(value("output_tokens_per_s.steady_state")) * window
        assert -1e-6 <= tokens_inside <= known(value("completion_tokens.total")) + 1e-6
        assert known(value("mean_concurrency.steady_state")) <= len(samples) + 1e-9
    assert (
        span is None or value("mean_concurrency") is None or known(value("mean_concurrency")) >= 0
    )


def test_the_cost_of_loading_says_what_it_counts() -> None:
    loading = Span(30.0, False, 2, "two loads, one of them lost")
    use = MachineUse(Span(10.0, False, 1, "made up"), loading)
    found = _one(_all([_sample("math/a", 0)], ALL_PRICES, use=use), "load_cost.rented")
    assert loading.method in found.method


# --- tokens, memory, loading -------------------------------------------------------------------


def test_tokens_are_split_into_thinking_and_answer() -> None:
    estimates = _all(
        [
            _sample("math/a", 0, completion_tokens=100, reasoning_tokens=80),
            _sample("math/b", 0, completion_tokens=300, reasoning_tokens=220),
            _sample("math/c", 0, completion_tokens=50, reasoning_tokens=None),
            _sample("math/d", 0, "generation_error", completion_tokens=0, reasoning_tokens=None),
        ]
    )
    values = {
        "prompt_tokens.mean": 20,
        "completion_tokens.mean": 150,
        "reasoning_tokens.mean": 150,
        "answer_tokens.mean": 50,
        "reasoning_share": 0.75,
    }
    for metric, value in values.items():
        assert _one(estimates, metric, "math").value == pytest.approx(value)
    assert _one(estimates, "reasoning_share", "math").n == 2
    assert mentions(_one(estimates, "reasoning_share", "math").missing_end or "", "30 problems")
    assert _one(estimates, "completion_tokens.total").value == 450
    assert _one(estimates, "prompt_tokens.total").value == 80


def test_loading_and_memory_are_passed_on_or_said_to_be_unknown() -> None:
    estimates = _all([_sample("math/a", 0)])
    assert _one(estimates, "load_s").value == 30.0
    assert _one(estimates, "peak_memory_bytes").value == 1000
    assert "nvml" in _one(estimates, "peak_memory_bytes").method
    silent = ENGINE.model_copy(update={"load_s": None, "peak_memory_bytes": None})
    for metric in ("load_s", "peak_memory_bytes"):
        found = _one(estimate_all([_sample("math/a", 0)], silent, NOTHING), metric)
        assert (found.value, found.n) == (None, 0)


# --- cost --------------------------------------------------------------------------------------


def test_costs_on_three_bases_by_hand() -> None:
    """10 s on 2 GPUs at 1.80 USD/h, 36 kJ at 0.36 USD/kWh, 404 tokens at 2 USD per million."""
    samples = [_sample(f"math/{i}", 0, "correct" if i else "truncated") for i in range(4)]
    estimates = _all(samples, ALL_PRICES, energy=Energy(36_000.0, "NVML, 1 GPU"))
    totals = {"rented": 0.01, "owned": 0.0036, "api": 404 * 2e-6}
    for basis, usd in totals.items():
        assert _one(estimates, f"cost.{basis}").value == pytest.approx(usd)
        found = _one(estimates, f"cost_per_solved.{basis}")
        assert found.value == pytest.approx(usd / 3)
        assert (found.unit, found.n) == ("USD", 4)
        assert f"{basis}:" in found.method
        assert "a list, 2026-10-07" in found.method
        per_million = _one(estimates, f"usd_per_million_output_tokens.{basis}")
        assert per_million.value == pytest.approx(usd / 404 * 1e6)
    assert _one(estimates, "load_cost.rented").value == pytest.approx(0.03)
    assert _one(estimates, "solved_per_hour").value == pytest.approx(3 * 360)
    assert _one(estimates, "break_even_output_tokens_per_s").value == pytest.approx(500)


def test_cost_is_shared_between_tasks_by_tokens() -> None:
    samples = [
        _sample("math/a", 0, completion_tokens=300),
        _sample("code/a", 0, completion_tokens=100),
        _sample("code/b", 0, "incorrect", completion_tokens=100),
    ]
    estimates = _all(samples, ALL_PRICES)
    assert _one(estimates, "cost_per_solved.rented").value == pytest.approx(0.01 / 2)
    assert _one(estimates, "cost_per_solved.rented", "math").value == pytest.approx(0.006)
    assert _one(estimates, "cost_per_solved.rented", "code").value == pytest.approx(0.004)


@pytest.mark.parametrize("basis", ["rented", "api"])
def test_nothing_solved_has_no_cost_per_solved(basis: str) -> None:
    found = _one(_all([_sample("math/a", 0, "incorrect")], ALL_PRICES), f"cost_per_solved.{basis}")
    assert found.value is None
    assert mentions(found.undefined or "", "solved")


def test_unknown_energy_and_no_price_are_said() -> None:
    samples = [_sample("math/a", 0)]
    found = _one(_all(samples, ALL_PRICES), "cost_per_solved.owned")
    assert found.value is None
    assert mentions(found.undefined or "", "energy")
    found = _one(_all(samples), "cost_per_solved")
    assert found.value is None
    assert mentions(found.undefined or "", "price", "'none'")


# --- energy ------------------------------------------------------------------------------------


def test_energy_per_token_and_per_solved_by_hand() -> None:
    samples = [
        _sample("math/a", 0, completion_tokens=300),
        _sample("code/a", 0, completion_tokens=100),
        _sample("code/b", 0, "truncated", completion_tokens=100),
    ]
    estimates = _all(samples, energy=Energy(1000.0, "NVML, 1 GPU"))
    total = _one(estimates, "energy_joules")
    assert (total.value, total.unit) == (1000.0, "J")
    assert "NVML, 1 GPU" in total.method
    assert _one(estimates, "joules_per_output_token").value == 2.0
    assert _one(estimates, "joules_per_solved").value == 500.0
    assert _one(estimates, "joules_per_solved", "math").value == 600.0
    assert _one(estimates, "joules_per_solved", "code").value == 400.0


def test_energy_per_solved_has_the_interval_of_the_tokens_per_solved() -> None:
    """The same ratio but for a factor, so the same relative interval as the rent's."""
    estimates = _all(_many(problems=30), ALL_PRICES, energy=Energy(1000.0, "RAPL, package 0"))
    joules, usd = (
        _one(estimates, f"{what}_per_solved{basis}", "math")
        for what, basis in (("joules", ""), ("cost", ".rented"))
    )
    assert joules.low is not None
    assert joules.high is not None
    for mine, other in ((joules.low, usd.low), (joules.high, usd.high)):
        assert mine / known(joules.value) == pytest.approx(known(other) / known(usd.value))


def test_unknown_energy_says_why_on_every_figure() -> None:
    estimates = _all([_sample("math/a", 0)], energy=Energy(None, "no RAPL"))
    for metric in ("energy_joules", "joules_per_output_token", "joules_per_solved"):
        found = _one(estimates, metric)
        assert found.value is None
        assert mentions(found.undefined or "", "energy", "(no RAPL)")


# --- the budget curve --------------------------------------------------------------------------

TOTALS: dict[Basis, float | None] = {"rented": 0.01, "owned": None, "api": 0.5}


def _curve(samples: list[Sample], task: str | None, most: int = 1024) -> list[BudgetPoint]:
    points = [p for p in budget_curve(samples, ALL_PRICES, TOTALS, most) if p.task == task]
    assert points == sorted(points, key=lambda p: p.budget_tokens)
    return points


def test_a_budget_keeps_what_ended_within_it() -> None:
    samples = [
        _sample("math/a", 0, completion_tokens=100),
        _sample("math/b", 0, completion_tokens=129),
        _sample("math/c", 0, "incorrect", completion_tokens=256),
        _sample("math/d", 0, "truncated", finish_reason="length", completion_tokens=1000),
        _sample("math/e", 0, finish_reason="length", completion_tokens=1000),
        _sample("math/f", 0, "generation_error", completion_tokens=15),
    ]
    points = _curve(samples, "math", 1000)
    assert [p.budget_tokens for p in points] == [128, 256, 512, 1000]
    assert [p.solved for p in points] == [1, 2, 2, 3]  # at its own limit, what the run gave
    assert [p.ended for p in points] == [1, 3, 3, 3]
    assert {p.samples for p in points} == {5}
    assert [known(p.accuracy).value for p in points] == pytest.approx([0.2, 0.4, 0.4, 0.6])
    tokens = [100 + 4 * 128 + 15, 100 + 129 + 3 * 256 + 15, 485 + 2 * 512 + 15, 2500]
    assert [p.completion_tokens for p in points] == tokens
    rented, api = zip(*(p.costs for p in points), strict=True)
    assert [c.basis for c in (rented[0], api[0])] == ["rented", "api"]  # owned has no known total
    assert [c.usd for c in rented] == pytest.approx([0.01 * t / 2500 for t in tokens])
    assert [c.usd for c in api] == pytest.approx([2e-6 * t for t in tokens])
    further = [c.usd_per_further_solved for c in rented]
    assert further[0] is None
    assert further[1] == pytest.approx(0.01 * (tokens[1] - tokens[0]) / 2500)
    assert further[2] is None
    assert rented[3].usd_per_solved == pytest.approx(0.01 / 3)


def test_the_last_budget_is_the_run_itself() -> None:
    samples = _many()
    estimates = _all(samples, ALL_PRICES, energy=Energy(5.0, "RAPL, package 0"))
    totals = {basis: _one(estimates, f"cost.{basis}").value for basis in ALL_PRICES.bases()}
    points = budget_curve(samples, ALL_PRICES, totals, 1024)
    for task in ("math", "aime"):
        last = [p for p in points if p.task == task][-1]
        whole = _one(estimates, "accuracy", task)
        found = (known(last.accuracy).value, known(last.accuracy).low, known(last.accuracy).high)
        assert found == (whole.value, whole.low, whole.high)
        for cost in last.costs:
            expected = _one(estimates, f"cost_per_solved.{cost.basis}", task).value
            assert cost.usd_per_solved == pytest.approx(expected)
    last = [p for p in points if p.task is None][-1]
    assert last.accuracy is None
    assert {c.basis: c.usd for c in last.costs} == pytest.approx(totals)


def test_a_larger_budget_never_solves_less_and_never_costs_less() -> None:
    for task in (None, "math", "aime"):
        points = _curve(_many(), task)
        for name in ("solved", "ended", "completion_tokens"):
            values = [getattr(p, name) for p in points]
            assert values == sorted(values)
            assert values[0] < values[-1]


def test_order_of_samples_does_not_bend_the_curve() -> None:
    samples = _many()
    shuffled = random.Random(8).sample(samples, len(samples))
    for old, new in zip(
        budget_curve(samples, ALL_PRICES, TOTALS, 900),
        budget_curve(shuffled, ALL_PRICES, TOTALS, 900),
        strict=True,
    ):
        assert old == new


@pytest.mark.parametrize(
    ("most", "expected"),
    [(1, [1]), (127, [127]), (128, [128]), (129, [128, 129]), (400, [128, 256, 400])],
)
def test_budgets_double_up_to_the_limit(most: int, expected: list[int]) -> None:
    assert [p.budget_tokens for p in _curve([_sample("math/a", 0)], "math", most)] == expected


# --- the whole ---------------------------------------------------------------------------------


def _many(problems: int = 9) -> list[Sample]:
    rng = random.Random(7)
    statuses = ["correct", "correct", "incorrect", "truncated", "no_answer", "scorer_error"]
    return [
        _sample(
            f"{task}/{p}",
            i,
            rng.choice(statuses),
            extracted=rng.choice(["1", "2", None]),
            completion_tokens=rng.randrange(100, 900),
            finished_s=rng.uniform(10, 60),
        )
        for task in ("math", "aime")
        for p in range(problems)
        for i in range(3)
    ]


def test_order_of_samples_changes_nothing() -> None:
    samples = _many()
    expected = _all(samples, ALL_PRICES, energy=Energy(5.0, "RAPL, package 0"))
    shuffled = random.Random(8).sample(samples, len(samples))
    assert _all(shuffled, ALL_PRICES, energy=Energy(5.0, "RAPL, package 0")) == expected


def test_names_of_problems_change_nothing() -> None:
    samples = _many()
    names = [f"{i:02}" for i in range(9)]
    random.Random(9).shuffle(names)
    renamed = []
    for sample in samples:
        task, _, number = sample.problem_id.partition("/")
        renamed.append(replace(sample, problem_id=f"{task}/x{names[int(number)]}"))
    for old, new in zip(_all(samples, ALL_PRICES), _all(renamed, ALL_PRICES), strict=True):
        assert (old.metric, old.task, old.n) == (new.metric, new.task, new.n)
        for before, after in ((old.value, new.value), (old.low, new.low), (old.high, new.high)):
            assert (before is None) == (after is None)
            assert before is None or before == pytest.approx(after, rel=1e-12)


@pytest.mark.parametrize("pricing", [NOTHING, ALL_PRICES], ids=["none", "all"])
@pytest.mark.parametrize("status", ["none at all", "generation_error", "correct"])
def test_what_has_no_value_says_why(pricing: Pricing, status: str) -> None:
    samples = [] if status == "none at all" else [_sample("math/a", 0, status)]
    for found in _all(samples, pricing):
        assert (found.value is None) == (found.undefined is not None), found
        if found.low is not None and found.high is not None:
            assert found.value is not None
            assert found.low <= found.value <= found.high


def test_no_figure_is_given_twice() -> None:
    keys = [(e.metric, e.task) for e in _all(_many(), ALL_PRICES)]
    assert len(keys) == len(set(keys))


def test_a_sample_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="math/a"):
        _all([_sample("math/a", 0), _sample("math/a", 0)])


def test_a_completion_and_a_verdict_of_different_requests_are_no_sample() -> None:
    one, other = _sample("math/a", 0), _sample("math/a", 1)
    with pytest.raises(ValueError, match="math/a#1"):
        Sample(
            task="math",
            problem_id="math/a",
            index=0,
            completion=one.completion,
            verdict=other.verdict,
        )
