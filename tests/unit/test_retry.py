"""``retry=errors``: what failed is asked again, and that it failed stays on record."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.cli.validate import check_run
from harness.config.settings import RunConfig
from harness.errors import ConfigError, StoreError
from harness.metrics.machine_use import machine_use
from harness.records import Completion, Verdict
from harness.runner.build_result import recomputed
from harness.runner.decisions import find_unfinished
from harness.runner.merge import merge_runs
from harness.runner.run import run as start
from harness.runner.sweep import use_recorded_config
from harness.store.result import load, sample_of
from harness.store.run_files import Run
from tests.conf.test_compose import compose
from tests.facts import known

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"
TASK = "math_mini"
FAILED = 3


def mine() -> list[Completion]:
    return [each for each in Run(GOLDEN).read_completions() if each.request_id.startswith(TASK)]


def write(recording: Path, *, failing: int) -> None:
    """The golden answers, of which the first ones are failures that took some tokens."""
    lines = [
        each.model_copy(
            update={
                "text": "",
                "finish_reason": "error",
                "completion_tokens": 7,
                "reasoning_tokens": None,
                "error": "HTTP 503: overloaded",
            }
        )
        if number < failing
        else each
        for number, each in enumerate(mine())
    ]
    text = "".join(f"{line.model_dump_json()}\n" for line in lines)
    (recording / "completions.jsonl").write_text(text, encoding="utf-8")


class Place:
    """A recording that plays the engine, and the runs made from it."""

    def __init__(self, folder: Path) -> None:
        self.recording = folder / "recording"
        self.results = folder / "results"
        shutil.copytree(GOLDEN, self.recording)

    def config(self, *more: str) -> RunConfig:
        return compose(
            "experiment=demo",
            "engine=replay",
            f"engine.run={self.recording}",
            f"tasks=[{TASK}:20]",
            "limits.max_error_fraction=1",
            "pricing=api_deepseek_r1",
            "canary=false",
            f"results_dir={self.results}",
            *more,
        )

    def begin(self, *more: str, failing: int = FAILED) -> Run:
        write(self.recording, failing=failing)
        finished = start(self.config(*more))
        assert finished.status == 0
        return Run(finished.folder)

    def retried(self, run: Run, *more: str, failing: int = 0) -> Run:
        write(self.recording, failing=failing)
        config = use_recorded_config(
            [f"resume={run.folder}", "retry=errors", f"results_dir={self.results}", *more]
        )
        assert config is not None
        assert start(config).status == 0
        return run


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def lines(run: Run, name: str) -> list[dict[str, Any]]:
    text = (run.folder / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def statuses(run: Run) -> Counter[str]:
    return Counter(each.status for each in load(run.folder).outcomes)


def figure(run: Run, metric: str) -> float:
    found = load(run.folder).estimates
    return next(known(each.value) for each in found if each.metric == metric and each.task is None)


def test_what_failed_in_a_finished_run_is_asked_again(place: Place) -> None:
    whole, run = place.begin(failing=0), place.begin()
    assert statuses(run)["generation_error"] == FAILED
    old = (run.folder / "completions.jsonl").read_bytes()
    tokens = figure(run, "completion_tokens.total")
    place.retried(run)
    assert statuses(run) == statuses(whole)
    # append-only: the record of the failures is still there, and nothing else was asked again
    assert (run.folder / "completions.jsonl").read_bytes().startswith(old)
    assert len(lines(run, "completions")) == len(mine()) + FAILED
    again = Counter(each["request_id"] for each in lines(run, "verdicts"))
    assert sorted(again.values()) == [1] * (len(mine()) - FAILED) + [2] * FAILED
    assert run.read_manifest().status == "complete"
    assert "20 of 20 completions, 20 verdicts" in check_run(run)
    # a failure costs what it cost
    result = load(run.folder)
    assert len(result.failed_attempts) == FAILED
    assert {each.status for each in result.failed_attempts} == {"generation_error"}
    answered = sum(known(each.completion_tokens) for each in result.outcomes)
    assert figure(run, "completion_tokens.total") == answered + 7 * FAILED > tokens
    assert figure(run, "cost.api") > figure(whole, "cost.api")
    assert figure(whole, "completion_tokens.total") == answered
    assert load(whole.folder).failed_attempts == ()
    # what the result says can be computed from it alone
    assert recomputed(result).failed_attempts == result.failed_attempts


def test_what_fails_again_is_an_error_still(place: Place) -> None:
    run = place.retried(place.begin(), failing=1)
    assert statuses(run)["generation_error"] == 1
    assert len(load(run.folder).failed_attempts) == FAILED
    place.retried(run)
    assert statuses(run)["generation_error"] == 0
    assert len(load(run.folder).failed_attempts) == FAILED + 1


def test_without_retry_what_failed_stays_as_it_is(place: Place) -> None:
    run = place.begin()
    write(place.recording, failing=0)
    assert (
        start(
            known(use_recorded_config([f"resume={run.folder}", f"results_dir={place.results}"]))
        ).status
        == 0
    )
    assert statuses(run)["generation_error"] == FAILED
    assert len(lines(run, "completions")) == len(mine())


def test_a_retry_that_was_killed_before_it_graded_is_graded_by_the_next_session(
    place: Place,
) -> None:
    run = place.begin()
    whole = {each.request_id: each for each in mine()}
    (failed, *_) = [each for each in run.read_completions() if each.is_failure]
    run.completions.append(whole[failed.request_id])
    run.completions.close()
    place.retried(run, failing=FAILED)
    assert statuses(run)["generation_error"] == FAILED - 1


def test_an_answer_that_a_scorer_broke_on_is_graded_again(place: Place) -> None:
    run = place.begin(failing=0)
    before = statuses(run)
    verdicts = lines(run, "verdicts")
    verdicts[0] |= {"status": "scorer_error", "detail": "the worker died"}
    text = "".join(json.dumps(each) + "\n" for each in verdicts)
    (run.folder / "verdicts.jsonl").write_text(text, encoding="utf-8")
    place.retried(run)
    assert statuses(run) == before
    assert len(lines(run, "completions")) == len(mine())
    assert len(lines(run, "verdicts")) == len(mine()) + 1


def test_a_shard_can_be_retried_and_a_merged_run_says_which(place: Place) -> None:
    parts = [place.begin("shards=2", f"shard={each}") for each in (0, 1)]
    folder = merge_runs(parts, place.results).folder
    with pytest.raises(StoreError) as caught:
        place.retried(Run(folder))
    assert all(part.run_id in str(caught.value) for part in parts)
    for part in parts:
        place.retried(part)
    folder = merge_runs(parts, place.results).folder
    assert statuses(Run(folder))["generation_error"] == 0
    assert len(load(folder).failed_attempts) == FAILED


@pytest.mark.parametrize("resume", [[], ["resume=auto"]], ids=str)
def test_a_retry_needs_the_run(resume: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"retry=errors: .*resume=RUN"):
        compose("retry=errors", *resume)


def test_other_values_of_retry_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"retry=truncated: .*'errors'"):
        compose("retry=truncated", "resume=x")


def test_an_answered_request_is_never_recorded_twice(place: Place) -> None:
    run = place.begin(failing=0)
    run.completions.append(next(run.read_completions()))
    run.completions.close()
    with pytest.raises(StoreError, match=r"#\d+ .*twice"):
        list(run.read_completions())


def test_the_sessions_of_a_run_that_was_complete_lost_nothing() -> None:
    """Those of an interrupted run did, and figures of their speed are lower bounds."""
    manifest = Run(GOLDEN).read_manifest()
    first, second = (
        manifest.sessions[0],
        manifest.sessions[0].model_copy(
            update={"clock_start_s": 1000.0, "opened_s": 990.0, "clock_end_s": 1010.0}
        ),
    )
    twice = manifest.model_copy(update={"sessions": (first, second)})
    pairs = list(zip(mine(), map(graded, mine()), strict=True))
    late = pairs[0][0].model_copy(
        update={"started_s": 1001.0, "finished_s": 1002.0, "queued_s": None}
    )
    samples = [sample_of(*pair, twice.sessions) for pair in [(late, pairs[0][1]), *pairs[1:]]]
    assert {each.session for each in samples} == {0, 1}
    assert machine_use(twice, samples).whole_sessions == frozenset({1})
    done = twice.model_copy(update={"complete_after": (1,)})
    assert machine_use(done, samples).whole_sessions == frozenset({0, 1})


def graded(completion: Completion) -> Verdict:
    return Verdict(request_id=completion.request_id, status="incorrect", scorer="s@1", wall_s=0)


def test_a_run_that_was_complete_says_so_before_it_is_retried(place: Place) -> None:
    run = place.begin()
    sessions = len(run.read_manifest().sessions)
    assert run.read_manifest().complete_after == ()
    assert place.retried(run).read_manifest().complete_after == (sessions,)


def test_retry_is_no_part_of_a_runs_configuration(place: Place) -> None:
    run = place.retried(place.begin())
    manifest = run.read_manifest()
    assert manifest.config.retry is None
    assert manifest.config_changes == ()
    config = place.config(f"resume={run.folder}", "retry=errors")
    assert known(find_unfinished(config, place.results)).run_id == run.run_id


def test_a_run_hands_back_its_folder_and_result_and_a_shard_has_no_result(place: Place) -> None:
    whole = start(place.config())
    assert whole.result == load(whole.folder)
    part = start(place.config("shards=2", "shard=0"))
    assert (part.result, part.status) == (None, 0)
    assert Run(part.folder).read_manifest().status == "complete"
