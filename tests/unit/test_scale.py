"""A run of gigabytes: what is held at once stays small, and nothing that is said of it changes."""

import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.records import (
    Completion,
    GenerationRequest,
    Grade,
    MathReference,
    Problem,
    Prompt,
    Sampling,
    Verdict,
)
from harness.runner import pipeline
from harness.runner.pipeline import (
    MAX_EXTRACTED,
    Question,
    Scoring,
    build_requests,
    generate,
    judge,
    score_missing,
)
from harness.store.run_files import Run, create_run
from tests.doubles import EngineDouble, ScorerDouble

PROBLEM = Problem(problem_id="t/0", question="?", reference=MathReference(answer="yes"))
PROMPT = Prompt(problem_id="t/0", text="?", token_ids=(1,), opened_think=False)
SAMPLING = Sampling(temperature=1.0, top_p=1.0, top_k=None, max_new_tokens=8)
TEXT_BYTES = 100_000
COUNT = 200
MEBIBYTE = 1 << 20


def completion(request_id: str, text: str, error: str | None = None) -> Completion:
    return Completion(
        request_id=request_id,
        text=text,
        finish_reason="error" if error is not None else "stop",
        prompt_tokens=1,
        completion_tokens=2,
        reasoning_tokens=0,
        error=error,
    )


def long_text(number: int) -> str:
    return f"{number} ".ljust(TEXT_BYTES, "x")


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with create_run(tmp_path, "m", "replay") as made:
        yield made


@pytest.fixture
def long_run(run: Run) -> Run:
    for number in range(COUNT):
        run.completions.append(completion(f"t/0#{number}", long_text(number)))
    return run


class Quiet:
    def on_completion(self, completion: Completion) -> None:
        pass

    def on_verdict(self, verdict: Verdict) -> None:
        pass


class WaitingScorer(ScorerDouble):
    """Answers no sooner than it is let; says that every answer is right."""

    def __init__(self, may_go: Callable[[], object]) -> None:
        self.may_go = may_go

    def grade(self, problem: Problem, answer: str) -> Grade:
        self.may_go()
        return Grade(status="correct", extracted=answer[:8])


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- reading without texts --------------------------------------------------------------------

HOSTILE = [
    "",
    '"',
    "\\",
    '\\"',
    '","finish_reason":"length"',
    '\\","finish_reason":"length","text":"',
    '{"request_id":"t/9#9","text":"","finish_reason":"error"}',
    "ä\n\u2028\x00😀",
    "a lone surrogate: \ud800",
]


def test_what_is_read_without_texts_is_all_the_rest(run: Run) -> None:
    for number, text in enumerate(HOSTILE):
        run.completions.append(completion(f"t/0#{number}", text))
        run.completions.append(completion(f't/{text or "x"}"text":"#1', "?", error=text))
    whole, read = list(run.read_completions()), list(run.read_completions(with_text=False))
    assert [blank(each) for each in read] == [blank(each) for each in whole]
    # What has no UTF-8 is written in another form, and read with its text.
    assert sum(each.text == "" for each in read) == len(read) - 2


def blank(read: Completion) -> Completion:
    return read.model_copy(update={"text": ""})


@pytest.mark.parametrize(
    "line",
    [
        '{"text": "a", "request_id": "t/0#0", "finish_reason": "stop", "prompt_tokens": 1, '
        '"completion_tokens": 2, "reasoning_tokens": 0}',
        '{"finish_reason":"stop","request_id":"t/0#0","prompt_tokens":1,"completion_tokens":2,'
        '"reasoning_tokens":0,"text":"a"}',
    ],
)
def test_a_line_that_another_program_wrote_is_read_as_well(run: Run, line: str) -> None:
    (run.folder / "completions.jsonl").write_text(line + "\n")
    (found,) = run.read_completions(with_text=False)
    assert found == completion("t/0#0", "a")


def test_the_line_behind_a_torn_one_is_not_taken_for_its_end(run: Run) -> None:
    """As when somebody joins files: the first request would have the second one's tokens."""
    run.completions.append(completion("t/0#0", "long"))
    run.completions.append(completion("t/0#1", "other"))
    file = run.folder / "completions.jsonl"
    one, other = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(one[: one.index(b"ng")] + other)
    for with_text in (True, False):
        with pytest.raises(StoreError, match=r"completions\.jsonl:1: not a Completion"):
            list(run.read_completions(with_text=with_text))


def test_a_pass_holds_one_completion_at_a_time(long_run: Run) -> None:
    def count(*, with_text: bool) -> None:
        assert sum(1 for _ in long_run.read_completions(with_text=with_text)) == COUNT

    assert peak_bytes(lambda: count(with_text=True)) < MEBIBYTE
    assert peak_bytes(lambda: count(with_text=False)) < MEBIBYTE


# --- what waits for its grade -----------------------------------------------------------------


class LongEngine(EngineDouble):
    """Writes 20 MB; then the scorer may go on."""

    def __init__(self, at_end: Callable[[], object]) -> None:
        self.at_end = at_end

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        for number, request in enumerate(requests):
            yield completion(request.request_id, long_text(number))
        self.at_end()


def test_texts_that_wait_for_a_slow_scorer_are_few(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_WAITING_BYTES", MEBIBYTE)
    over = threading.Event()
    questions = {"t/0": Question(PROBLEM, False, WaitingScorer(over.wait))}
    requests = build_requests([PROMPT], SAMPLING, COUNT, run_seed=0)

    def go() -> None:
        with Scoring(run, questions, Quiet(), workers=2) as scoring:
            generate(run, requests, lambda: LongEngine(over.set), scoring, Quiet())
            score_missing(run, scoring)

    assert peak_bytes(go) < 4 * MEBIBYTE
    assert len(run.read_verdicts()) == COUNT


def test_workers_grade_at_the_same_time(long_run: Run) -> None:
    together = threading.Barrier(2, timeout=60)  # two must be inside at once, or it breaks
    questions = {"t/0": Question(PROBLEM, False, WaitingScorer(together.wait))}
    with Scoring(long_run, questions, Quiet(), workers=2) as scoring:
        assert score_missing(long_run, scoring) == COUNT
    assert {verdict.status for verdict in long_run.read_verdicts().values()} == {"correct"}


def test_only_what_has_no_verdict_is_graded(long_run: Run) -> None:
    questions = {"t/0": Question(PROBLEM, False, WaitingScorer(lambda: None))}
    for number in range(1, COUNT):
        graded = judge(questions["t/0"], completion(f"t/0#{number}", "yes"))
        long_run.verdicts.append(graded)
    with Scoring(long_run, questions, Quiet(), workers=1) as scoring:
        assert score_missing(long_run, scoring) == 1
        assert score_missing(long_run, scoring) == 0
    assert len(long_run.read_verdicts()) == COUNT


# --- what a verdict holds ---------------------------------------------------------------------


class EchoScorer(WaitingScorer):
    def grade(self, problem: Problem, answer: str) -> Grade:
        return Grade(status="incorrect", extracted=answer, detail=answer)


def test_a_verdict_on_an_endless_answer_is_short_and_tells_answers_apart() -> None:
    question = Question(PROBLEM, False, EchoScorer(lambda: None))
    texts = ["y" * MAX_EXTRACTED, *(f"{'y' * TEXT_BYTES}{end}" for end in "ab\ud800")]
    verdicts = [judge(question, completion("t/0#0", text)) for text in texts]
    assert verdicts[0].extracted == texts[0]
    assert len({verdict.extracted for verdict in verdicts}) == len(texts)
    assert all(len(verdict.model_dump_json()) < 2 * MAX_EXTRACTED for verdict in verdicts[:3])
