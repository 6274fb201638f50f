"""What is asked again, and what is said of it; on a recorded run."""

import random
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from harness.analysis.rerun.document import SCHEMA_VERSION, RerunReport, facts_of, most_at_once
from harness.analysis.rerun.draw import Selection, StratumKey, select
from harness.analysis.rerun.outcome import Answer, Pair, figures_of, pair, strata_of
from harness.cli.rerun import rebatched
from harness.engines.vllm_server_engine import VllmServerConfig
from harness.records import RequestId, VerdictStatus
from harness.report.rerun import print_rerun
from harness.store.run_files import Run
from tests.facts import known, mentions, narrowed

GOLDEN = Run(Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo")


@pytest.fixture(scope="module")
def answers() -> dict[RequestId, Answer]:
    verdicts = GOLDEN.read_verdicts()
    return {c.request_id: Answer(c, verdicts[c.request_id]) for c in GOLDEN.read_completions()}


@pytest.fixture(scope="module")
def statuses(answers: dict[RequestId, Answer]) -> dict[RequestId, VerdictStatus]:
    return {key: answer.verdict.status for key, answer in answers.items()}


# --- which requests ---------------------------------------------------------------------------


def test_every_stratum_is_drawn_from_in_proportion(
    statuses: dict[RequestId, VerdictStatus],
) -> None:
    selection = select(statuses, 20, seed=0)
    assert selection.drawn == {
        ("humaneval", "correct"): 1,
        ("humaneval", "incorrect"): 7,
        ("humaneval", "truncated"): 2,
        ("math_mini", "incorrect"): 4,  # 3.5 and 5.5: the first of two halves
        ("math_mini", "no_answer"): 1,
        ("math_mini", "truncated"): 5,
    }
    assert len(selection.chosen) == 20
    found = Counter((key.partition("/")[0], statuses[key]) for key in selection.chosen)
    assert found == selection.drawn


def test_the_draw_depends_on_the_seed_and_on_nothing_else(
    statuses: dict[RequestId, VerdictStatus],
) -> None:
    lines = list(statuses.items())
    random.Random(3).shuffle(lines)
    assert select(dict(lines), 20, seed=0) == select(statuses, 20, seed=0)
    assert select(statuses, 20, seed=1).chosen != select(statuses, 20, seed=0).chosen


@pytest.mark.parametrize("n", [1, 3, 5, 6, 7, 19, 39, 40, 41, 1000])
def test_as_many_are_drawn_as_were_asked_for_or_all(
    statuses: dict[RequestId, VerdictStatus], n: int
) -> None:
    selection = select(statuses, n, seed=0)
    assert len(selection.chosen) == sum(selection.drawn.values()) == min(n, 40)
    if n >= 6:
        assert min(selection.drawn.values()) >= 1
    else:
        ideal = {key: n * size / 40 for key, size in selection.sizes.items()}
        assert all(abs(ideal[key] - count) < 1 for key, count in selection.drawn.items())


def test_a_rare_verdict_is_drawn_too() -> None:
    statuses: dict[RequestId, VerdictStatus] = {
        RequestId(f"t/{i}#0"): "correct" if i == 5 else "incorrect" for i in range(1000)
    }
    selection = select(statuses, 2, seed=0)
    assert selection.drawn == {("t", "correct"): 1, ("t", "incorrect"): 1}
    assert select(statuses, 1, seed=0).drawn[StratumKey("t", "correct")] == 0


def test_errors_are_left_out_and_counted(statuses: dict[RequestId, VerdictStatus]) -> None:
    first, second, *_ = statuses
    with_errors = {**statuses, first: "generation_error", second: "scorer_error"}
    selection = select(with_errors, 40, seed=0)
    assert (selection.errors, selection.total) == (2, 38)
    assert selection.chosen == statuses.keys() - {first, second}
    assert not select({first: "scorer_error"}, 5, seed=0).chosen


def test_most_at_once() -> None:
    assert most_at_once([(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (9.0, 9.5)]) == 2
    assert most_at_once([(0.0, 1.0), (1.0, 2.0)]) == 1, "one ends as the other begins"
    assert most_at_once([(0.0, 1.0), (None, 2.0)]) is None
    assert most_at_once([]) is None
    spans = [(c.started_s, c.finished_s) for c in GOLDEN.read_completions()]
    assert most_at_once(spans) == 29


def test_a_server_of_our_own_is_asked_at_another_batch_size() -> None:
    given = VllmServerConfig(kind="vllm_server", args={"max_num_seqs": 64, "seed": 1})
    for own, before in ((given, 64), (given.model_copy(update={"concurrency": 4}), 4)):
        engine, found, size = rebatched(GOLDEN, own, None)
        engine = narrowed(VllmServerConfig, engine)
        assert (engine.args, engine.concurrency) == ({"max_num_seqs": 1, "seed": 1}, None)
        assert (found, size) == (before, 1)
    assert rebatched(GOLDEN, VllmServerConfig(kind="vllm_server"), 7)[1:] == (None, 7)


# --- what came of it --------------------------------------------------------------------------


def again(answer: Answer, *, status: VerdictStatus | None = None, **changes: object) -> Answer:
    verdict = answer.verdict
    if status is not None:
        verdict = verdict.model_copy(update={"status": status})
    return Answer(answer.completion.model_copy(update=changes), verdict)


def paired(
    answers: dict[RequestId, Answer],
    selection: Selection,
    changes: Mapping[RequestId, dict[str, Any]],
) -> list[Pair]:
    """Each chosen request with itself, but for some changes."""
    return [
        pair(answer.verdict.status, answer, again(answer, **changes.get(key, {})))
        for key, answer in sorted(answers.items())
        if key in selection.chosen
    ]


def test_a_perfect_repetition_has_no_difference_but_an_upper_bound(
    answers: dict[RequestId, Answer], statuses: dict[RequestId, VerdictStatus]
) -> None:
    selection = select(statuses, 40, seed=0)
    everything, *by_task = figures_of(paired(answers, selection, {}), selection)
    assert [each.task for each in by_task] == ["humaneval", "math_mini"]
    assert (everything.texts_same, everything.texts_different) == (40, 0)
    assert everything.first_difference_median is None
    assert everything.direction_p is None
    assert everything.flips.value == everything.noise.value == 0
    high = proportion_confint(0, 40, method="wilson")[1]
    assert everything.flips.high == pytest.approx(high)
    assert everything.noise.high == pytest.approx(196 * (high / 40) ** 0.5, rel=1e-4)


def test_every_kind_of_difference_is_counted_by_itself(
    answers: dict[RequestId, Answer], statuses: dict[RequestId, VerdictStatus]
) -> None:
    selection = select(statuses, 40, seed=0)
    by_status = {
        status: [k for k in statuses if statuses[k] == status] for status in statuses.values()
    }
    lost, *_ = by_status["correct"]
    won, other, *_ = by_status["incorrect"]
    cut, died, *_ = by_status["truncated"]
    text = answers[won].completion.text
    changes: dict[RequestId, dict[str, Any]] = {
        lost: {"text": "no", "status": "no_answer"},
        won: {"text": text[:10] + "\x00" + text[11:], "status": "correct"},
        other: {"status": "truncated", "finish_reason": "length"},
        cut: {"text": answers[cut].completion.text + "!", "completion_tokens": 1},
        died: {"text": "", "finish_reason": "error", "status": "generation_error"},
    }
    pairs = paired(answers, selection, changes)
    figures = figures_of(pairs, selection)[0]
    assert (figures.repeated, figures.errors) == (40, 1)
    assert (figures.texts_same, figures.texts_different) == (36, 3)
    starts = [0, 10, len(answers[cut].completion.text)]
    starts[0] = int(answers[lost].completion.text.startswith("n"))
    assert figures.first_difference_median == sorted(starts)[1]
    assert (figures.correct_to_wrong, figures.wrong_to_correct) == (1, 1)
    assert figures.direction_p == 1
    assert figures.status_changed == 3
    assert figures.finish_reason_changed == 1, "and the one that died is not among them"
    assert figures.tokens_changed == 1
    # 39 of 40 were graded; each stands for its own stratum alone
    assert figures.flips.value == pytest.approx(2 / 39)
    low, high = proportion_confint(2, 39, method="wilson")
    assert (figures.flips.low, figures.flips.high) == pytest.approx((low, high))
    assert figures.noise.value == pytest.approx(196 * (2 / 39 / 40) ** 0.5, rel=1e-4)
    strata = {(each.task, each.status): each for each in strata_of(pairs, selection)}
    assert strata[lost.partition("/")[0], "correct"].flips == 1
    assert sum(each.texts_different for each in strata.values()) == 3
    assert sum(each.flips for each in strata.values()) == 2


def _pair(task: str, recorded: str, after: str) -> Pair:
    return Pair(
        request_id=f"{task}/x#0",
        task=task,
        recorded=recorded,
        before=recorded,
        after=after,
        extracted_before=None,
        extracted_after=None,
        first_difference=None if recorded == after else 3,
        finish_before="stop",
        finish_after="stop",
        tokens_before=1,
        tokens_after=1,
    )


def test_a_stratum_counts_for_its_share_of_the_run_however_many_were_drawn() -> None:
    statuses: dict[RequestId, VerdictStatus] = {
        RequestId(f"t/{i}#0"): "correct" if i < 90 else "incorrect" for i in range(100)
    }
    selection = select(statuses, 2, seed=0)
    pairs = [_pair("t", "correct", "correct"), _pair("t", "incorrect", "correct")]
    (figures,) = figures_of(pairs, selection)
    assert figures.flips.value == pytest.approx(0.1)
    trials = 100**2 / (90**2 + 10**2)
    low, high = proportion_confint(0.1 * trials, trials, method="wilson")
    assert (figures.flips.low, figures.flips.high) == pytest.approx((low, high))
    assert figures.noise.value == pytest.approx(196 * (0.1 / 100) ** 0.5, rel=1e-4)


def test_a_task_of_which_nothing_was_drawn_is_unknown() -> None:
    statuses: dict[RequestId, VerdictStatus] = dict.fromkeys(
        [RequestId("a/1#0"), *(RequestId(f"b/{i}#0") for i in range(9))], "correct"
    )
    selection = select(statuses, 1, seed=0)
    _, a, _ = figures_of([_pair("b", "correct", "correct")], selection)
    assert (a.task, a.repeated) == ("a", 0)
    assert a.flips.value is a.noise.value is a.noise.high is None


def test_the_noise_is_what_two_runs_differ_by() -> None:
    """Simulated: flip rates that differ from request to request, and no run the better one."""
    generator = np.random.default_rng(11)
    requests, draws = 200, 4000
    flip = generator.beta(0.3, 3.0, requests)
    signs = np.where(generator.random((draws, requests)) < 0.5, 1, -1)
    differences = (signs * (generator.random((draws, requests)) < flip)).mean(axis=1)
    statuses: dict[RequestId, VerdictStatus] = {
        RequestId(f"t/{i}#0"): "correct" for i in range(requests)
    }
    many = ["incorrect"] * round(1000 * flip.mean()) + ["correct"] * round(1000 * (1 - flip.mean()))
    pairs = [_pair("t", "correct", after) for after in many]
    (figures,) = figures_of(pairs, select(statuses, requests, seed=0))
    within = np.mean(100 * np.abs(differences) <= figures.noise.value)
    assert within == pytest.approx(0.95, abs=0.015)


def test_flips_in_one_direction_are_no_mere_noise() -> None:
    statuses: dict[RequestId, VerdictStatus] = {RequestId(f"t/{i}#0"): "correct" for i in range(10)}
    pairs = [_pair("t", "correct", "incorrect")] * 6 + [_pair("t", "correct", "correct")] * 4
    (figures,) = figures_of(pairs, select(statuses, 10, seed=0))
    assert figures.direction_p == pytest.approx(2 / 2**6)


# --- what is shown ----------------------------------------------------------------------------


def report_of(pairs: list[Pair], selection: Selection, **changes: object) -> RerunReport:
    manifest = GOLDEN.read_manifest()
    engine = known(manifest.engine).model_copy(update={"version": "6.0.0 (torch 3.0)"})
    machine = manifest.provenance.model_copy(update={"packages": {"torch": "3.0"}})
    now = datetime(2026, 1, 2, tzinfo=UTC)
    fields = {
        "schema_version": SCHEMA_VERSION,
        "rerun_id": "r",
        "run_id": manifest.run_id,
        "started_at": now,
        "finished_at": now,
        "asked": 20,
        "seed": 0,
        "batch_size_before": None,
        "batch_size_after": 1,
        "at_once_before": 29,
        "at_once_after": None,
        "engine": engine,
        "provenance": machine,
        "facts": facts_of(manifest.sessions, engine, machine),
        "notes": ("[something] to know",),
        "left_out_errors": 0,
        "regraded_otherwise": 0,
        "figures": figures_of(pairs, selection),
        "strata": strata_of(pairs, selection),
        "pairs": tuple(pairs),
        "completions": (),
        "verdicts": (),
    }
    return RerunReport(**fields | changes)


def test_what_else_differs_is_marked() -> None:
    facts = {fact.name: fact for fact in report_of([], select({}, 1, 0), figures=()).facts}
    assert facts["engine"].run == "transformers 5.19.0 (torch 2.13.0+cpu)"
    assert facts["engine"].repetition == "transformers 6.0.0 (torch 3.0)"
    assert facts["engine"].differs
    assert not facts["dtype"].differs
    assert (facts["sympy"].run, facts["sympy"].repetition) == ("1.14.0", "none")


def test_a_run_of_two_machines_says_so() -> None:
    manifest = GOLDEN.read_manifest()
    first, second = manifest.sessions
    second = second.model_copy(
        update={"provenance": second.provenance.model_copy(update={"host": "other"})}
    )
    facts = {f.name: f for f in facts_of((first, second), second.engine, second.provenance)}
    assert facts["host"].run == "golden, then other"
    assert facts["host"].differs
    assert facts["python"].run == "3.11.7"


def test_the_table_says_it_for_people(
    answers: dict[RequestId, Answer],
    statuses: dict[RequestId, VerdictStatus],
    capsys: pytest.CaptureFixture[str],
) -> None:
    selection = select(statuses, 20, seed=0)
    flipped = next(k for k in sorted(selection.chosen) if statuses[k] == "incorrect")
    changes = {flipped: {"text": "", "status": "correct"}}
    print_rerun(report_of(paired(answers, selection, changes), selection), Path("/r.json"))
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "(at most 29 at once), repeated with 1 (unknown",
        "repeated 20 of 40 10 of 20 10 of 20",
        " same 19 9 10",
        " to correct 1 1 0",
        "humaneval incorrect 14 7 1 1",
        "sympy 1.14.0 none differs",
        " 40 requests ",
        "note: [something] to know",
        "file /r.json",
    ):
        assert words in shown


def test_no_flip_is_no_proof_of_no_noise(
    answers: dict[RequestId, Answer],
    statuses: dict[RequestId, VerdictStatus],
    capsys: pytest.CaptureFixture[str],
) -> None:
    selection = select(statuses, 20, seed=0)
    print_rerun(report_of(paired(answers, selection, {}), selection), Path("/r.json"))
    shown = capsys.readouterr().out
    assert mentions(" ".join(shown.split()), "verdict", "20 requests", "up to")
