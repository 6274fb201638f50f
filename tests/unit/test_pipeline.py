"""Generation and scoring side by side: what is recorded, what is retried, what is never graded."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from harness.engines.base import Engine
from harness.engines.openai_engine import OpenaiConfig, OpenaiEngine
from harness.errors import GenerationError, TooManyErrorsError, UnavailableError
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import (
    Completion,
    FinishReason,
    GenerationRequest,
    Grade,
    MathReference,
    Problem,
    Prompt,
    Sampling,
    Verdict,
    VerdictStatus,
)
from harness.runner.error_watch import FEWEST
from harness.runner.pipeline import (
    Question,
    Scoring,
    build_requests,
    generate,
    judge,
    request_seed,
    run_clock,
    score_missing,
)
from harness.scorers.answers.marks import Marks, Reasoning
from harness.scorers.base import Scorer
from harness.store.failures import KEPT, count_failures, kind_of
from harness.store.run_files import Run, create_run
from tests.doubles import EngineDouble, ScorerDouble
from tests.facts import narrowed
from tests.fault_server import FaultServer, completes, refuses, serving

SAMPLING = Sampling(temperature=0.6, top_p=0.95, top_k=None, max_new_tokens=8)


class ExactScorer(ScorerDouble):
    """Grades by equality; breaks on 'break'."""

    def __init__(self, is_complete: bool = True) -> None:
        self.is_complete = is_complete
        self.graded: list[str] = []

    def grade(self, problem: Problem, answer: str) -> Grade:
        self.graded.append(answer)
        if answer == "break":
            raise RuntimeError("scorer bug")
        if not answer:
            return Grade(status="no_answer")
        status = (
            "correct"
            if answer == narrowed(MathReference, problem.reference).answer
            else "incorrect"
        )
        return Grade(status=status, extracted=answer, is_complete=self.is_complete)


class Quiet:
    def __init__(self) -> None:
        self.completions: list[str] = []
        self.verdicts: list[str] = []
        self.lock = threading.Lock()

    def on_completion(self, completion: Completion) -> None:
        self.completions.append(completion.request_id)

    def on_verdict(self, verdict: Verdict) -> None:
        with self.lock:
            self.verdicts.append(verdict.request_id)


PROBLEMS = {
    f"t/{i}": Problem(problem_id=f"t/{i}", question="?", reference=MathReference(answer="yes"))
    for i in range(4)
}
PROMPTS = [
    Prompt(problem_id=name, text="?", token_ids=(1, 2), opened_think=False) for name in PROBLEMS
]
REQUESTS = build_requests(PROMPTS, SAMPLING, 2, run_seed=0)


def completed(
    request: GenerationRequest,
    text: str = "yes",
    finish: FinishReason = "stop",
    error: str | None = None,
) -> Completion:
    return Completion(
        request_id=request.request_id,
        text=text,
        finish_reason=finish,
        prompt_tokens=2,
        completion_tokens=0 if error else 1,
        reasoning_tokens=None if error else 0,
        error=error,
    )


Answer = Callable[[GenerationRequest], Completion]


class ScriptedEngine(EngineDouble):
    """Answers by a function; a test double for faults that no real engine makes on demand."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        for request in requests:
            self.asked.append(request.request_id)
            yield self.answer(request)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with create_run(tmp_path, "m", "replay") as made:
        yield made


def questions(scorer: Scorer) -> dict[str, Question]:
    return {name: Question(problem, False, scorer) for name, problem in PROBLEMS.items()}


def go(
    run: Run,
    engines: Iterable[Engine],
    scorer: Scorer | None = None,
    requests: Sequence[GenerationRequest] = REQUESTS,
    stop_at: float | None = None,
) -> Quiet:
    scorer = scorer or ExactScorer()
    observer, left = Quiet(), list(engines)
    with Scoring(run, questions(scorer), observer, workers=2) as scoring:
        generate(run, requests, lambda: left.pop(0), scoring, observer, stop_at)
        scoring.wait()
        score_missing(run, scoring)
    return observer


# --- requests ---------------------------------------------------------------------------------


def test_a_request_for_each_problem_and_sample() -> None:
    assert [r.request_id for r in REQUESTS] == [f"t/{i}#{s}" for s in (0, 1) for i in range(4)]
    assert {r.request_id.problem_id for r in REQUESTS} == {f"t/{i}" for i in range(4)}


def test_a_seed_depends_on_the_run_and_the_request_alone() -> None:
    alone = build_requests(PROMPTS[2:3], SAMPLING, 2, run_seed=0)
    assert {r.request_id: r.seed for r in alone}.items() <= {
        r.request_id: r.seed for r in REQUESTS
    }.items()
    assert len({r.seed for r in REQUESTS}) == len(REQUESTS)
    assert request_seed(1, "t/0#0") != request_seed(0, "t/0#0")


def test_seeds_are_the_same_for_ever() -> None:
    assert request_seed(0, "humaneval/HumanEval/0#0") == FIRST_SEED


FIRST_SEED = 5524582093818674705


def test_the_clock_goes_on_where_the_last_session_stopped() -> None:
    before_s = time.monotonic()
    clock = run_clock(100.0)
    first, second = clock(), clock()
    assert 100.0 <= first <= second <= 100.0 + time.monotonic() - before_s


# --- one completion ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "finish", "opened", "status"),
    [
        ("yes", "stop", False, "correct"),
        ("no", "stop", False, "incorrect"),
        ("", "stop", False, "no_answer"),
        ("", "length", False, "truncated"),
        ("thinking</think>yes", "stop", True, "correct"),
        ("yes", "stop", True, "no_answer"),  # never left the thought
        ("yes", "length", True, "truncated"),  # cut off in the thought
        ("<think>yes", "length", False, "truncated"),  # opened by the model itself
        ("a</think>no</think>yes", "length", True, "correct"),  # whole before the cut
        ("break", "stop", False, "scorer_error"),
    ],
)
def test_what_becomes_of_a_completion(
    text: str, finish: FinishReason, opened: bool, status: str
) -> None:
    question = Question(PROBLEMS["t/0"], opened, ExactScorer())
    assert judge(question, completed(REQUESTS[0], text, finish)).status == status


def test_a_completion_is_read_by_the_marks_of_its_model() -> None:
    plan = Marks(open="<plan>", close="</plan>")
    cases: list[tuple[str, Reasoning, str]] = [
        ("<plan>no</plan>yes", plan, "correct"),
        ("<plan>yes", plan, "no_answer"),
        ("[THINK]yes", "mistral", "no_answer"),
        ("[THINK]yes", None, "no_answer"),
        ("[THINK]no[/THINK]yes", "mistral", "correct"),
        ("[THINK]no[/THINK]yes", "think", "incorrect"),
    ]
    for text, reasoning, status in cases:
        question = Question(PROBLEMS["t/0"], False, ExactScorer(), reasoning)
        assert judge(question, completed(REQUESTS[0], text)).status == status, (text, reasoning)


def test_reasoning_is_never_shown_to_a_scorer() -> None:
    scorer = ExactScorer()
    judge(Question(PROBLEMS["t/0"], True, scorer), completed(REQUESTS[0], "yes", "length"))
    judge(Question(PROBLEMS["t/0"], True, scorer), completed(REQUESTS[0], "yes</think>no"))
    assert scorer.graded == ["no"]


@pytest.mark.parametrize(
    ("text", "finish", "status"),
    [("no", "length", "truncated"), ("yes", "length", "correct"), ("no", "stop", "incorrect")],
)
def test_an_answer_cut_off_is_wrong_only_if_it_was_whole(
    text: str, finish: FinishReason, status: str
) -> None:
    question = Question(PROBLEMS["t/0"], False, ExactScorer(is_complete=False))
    assert judge(question, completed(REQUESTS[0], text, finish)).status == status


def test_a_failed_request_is_an_error_and_no_wrong_answer() -> None:
    verdict = judge(
        Question(PROBLEMS["t/0"], False, ExactScorer()),
        completed(REQUESTS[0], "", "error", "out of memory"),
    )
    assert (verdict.status, verdict.detail) == ("generation_error", "out of memory")


# --- a run ------------------------------------------------------------------------------------


def test_everything_is_recorded_once_and_graded_once(run: Run) -> None:
    observer = go(run, [ScriptedEngine(completed)])
    ids = {r.request_id for r in REQUESTS}
    assert {c.request_id for c in run.read_completions()} == ids
    assert run.read_verdicts().keys() == ids
    assert Counter(observer.completions) == Counter(observer.verdicts) == Counter(ids)


def test_a_failing_request_is_tried_once_more(run: Run) -> None:
    seen: Counter[str] = Counter()

    def flaky(request: GenerationRequest) -> Completion:
        seen[request.request_id] += 1
        first = request.request_id == "t/1#0" and seen[request.request_id] == 1
        return completed(request, "", "error", "hiccup") if first else completed(request)

    go(run, [ScriptedEngine(flaky)])
    assert seen["t/1#0"] == 2
    assert {v.status for v in run.read_verdicts().values()} == {"correct"}


def test_a_request_that_always_fails_is_recorded_as_such(run: Run) -> None:
    def broken(request: GenerationRequest) -> Completion:
        bad = request.request_id == "t/1#0"
        return completed(request, "", "error", "too long") if bad else completed(request)

    engine = ScriptedEngine(broken)
    go(run, [engine])
    assert engine.asked.count("t/1#0") == 2
    statuses = Counter(v.status for v in run.read_verdicts().values())
    assert statuses == {"correct": 7, "generation_error": 1}


def test_a_request_that_its_engine_tried_again_is_not_tried_once_more(run: Run) -> None:
    def refused(request: GenerationRequest) -> Completion:
        bad = request.request_id == "t/1#0"
        done = completed(request, "", "error", "no") if bad else completed(request)
        return done.model_copy(update={"retries": 3, "waited_s": 60.0})

    engine = ScriptedEngine(refused)
    go(run, [engine])
    assert engine.asked.count("t/1#0") == 1
    assert list(run.read_completions())[-1].request_id == "t/1#0", "after all others"


MANY = build_requests(PROMPTS, SAMPLING, 25, run_seed=0)


def failing_from(number: int) -> Answer:
    """An engine whose requests all fail from one on."""
    order = [request.request_id for request in MANY]

    def answer(request: GenerationRequest) -> Completion:
        bad = order.index(request.request_id) >= number
        done = (
            completed(request, "", "error", f"HTTP 402: pay {number}")
            if bad
            else completed(request)
        )
        return done.model_copy(update={"retries": 0})

    return answer


def test_too_many_failures_end_a_run_and_are_asked_again(run: Run) -> None:
    engine = ScriptedEngine(failing_from(40))
    with pytest.raises(TooManyErrorsError) as caught:
        go(run, [engine], requests=MANY, stop_at=0.5)
    assert len(engine.asked) == 81, "40 answers, and one failure more than that"
    recorded = list(run.read_completions())
    assert len(recorded) == 40
    assert all(each.finish_reason == "stop" for each in recorded)
    assert "limits.stop_at_error_fraction=0.5: 41 of 81" in str(caught.value)
    left = [each for each in MANY if each.request_id not in {c.request_id for c in recorded}]
    go(run, [ScriptedEngine(completed)], requests=left, stop_at=0.5)
    assert len(list(run.read_completions())) == 100


def test_few_requests_say_nothing_of_a_share(run: Run) -> None:
    go(run, [ScriptedEngine(failing_from(0))], requests=MANY[: FEWEST - 1], stop_at=0.5)
    assert {each.finish_reason for each in run.read_completions()} == {"error"}


def test_without_a_limit_a_run_goes_on_to_its_end(run: Run) -> None:
    go(run, [ScriptedEngine(failing_from(1))], requests=MANY)
    assert len(list(run.read_completions())) == 100


def test_what_was_sent_when_too_many_failed_is_kept(run: Run) -> None:
    class Sending(ScriptedEngine):
        """Has ten requests under way when it is told to stop."""

        stopped = False

        def stop(self) -> None:
            self.stopped = True

        def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
            for request in requests[:30]:
                yield completed(request, "", "error", "no").model_copy(update={"retries": 0})
                if self.stopped:
                    break
            yield from map(completed, requests[30:40])

    with pytest.raises(TooManyErrorsError):
        go(run, [Sending(completed)], requests=MANY, stop_at=0.5)
    assert len(list(run.read_completions())) == 10


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        running.answers = [completes("yes")]
        yield running


def attached(server: FaultServer) -> OpenaiEngine:
    """A real engine that sends one request at a time, for a context of 20 tokens."""
    config = OpenaiConfig(kind="openai", base_url=server.url, mode="tokens", concurrency=1)
    model = ResolvedModel(name="hosted", path="", revision=None, sha256=None)
    return OpenaiEngine(config, model, Codec.load(model), time.monotonic, 20)


def test_prompts_that_are_too_long_do_not_end_a_run(run: Run, server: FaultServer) -> None:
    """The longest prompts come first in many a data set."""
    long = {"prompt_token_ids": tuple(range(13))}
    requests = [each.model_copy(update=long) if n < 20 else each for n, each in enumerate(MANY)]
    go(run, [attached(server)], requests=requests, stop_at=0.5)
    ends = Counter(each.finish_reason for each in run.read_completions())
    assert ends == {"stop": 80, "error": 20}
    assert len(server.asked) == 80


def test_failures_are_a_share_of_the_whole_run_however_often_it_is_resumed(
    run: Run, server: FaultServer
) -> None:
    long = {"prompt_token_ids": tuple(range(13))}
    requests = [each.model_copy(update=long) if n < 30 else each for n, each in enumerate(MANY)]
    go(run, [attached(server)], requests=requests[30:], stop_at=0.25)
    with pytest.raises(TooManyErrorsError, match="24 of 94"):
        go(run, [attached(server)], requests=requests[:30], stop_at=0.25)
    go(run, [attached(server)], requests=requests[:30], stop_at=0.3)
    assert len(list(run.read_completions())) == 100


def test_prompts_that_are_refused_for_good_do_not_end_a_run_that_is_resumed(
    run: Run, server: FaultServer
) -> None:
    go(run, [attached(server)], requests=MANY[:1])
    server.answers = [refuses(400, "no such prompt")]
    go(run, [attached(server)], requests=MANY[1:11])
    ends = Counter(each.finish_reason for each in run.read_completions())
    assert ends == {"stop": 1, "error": 10}


def test_of_a_run_without_an_answer_the_first_refusals_are_for_all(
    run: Run, server: FaultServer
) -> None:
    server.answers = [refuses(400, "no such prompt")]
    for _ in range(2):
        with pytest.raises(UnavailableError, match="the first 5 requests"):
            go(run, [attached(server)], requests=MANY)
    assert list(run.read_completions()) == []


def dying(after: int) -> ScriptedEngine:
    def answer(request: GenerationRequest) -> Completion:
        nonlocal after
        if after == 0:
            raise GenerationError("engine process died")
        after -= 1
        return completed(request)

    return ScriptedEngine(answer)


def test_an_engine_that_dies_is_started_once_more_with_what_is_left(run: Run) -> None:
    second = ScriptedEngine(completed)
    go(run, [dying(3), second])
    assert len(second.asked) == 5
    assert len(run.read_verdicts()) == 8


def test_a_second_death_ends_the_run_with_everything_kept(run: Run) -> None:
    with pytest.raises(GenerationError, match="engine process died"):
        go(run, [dying(3), dying(2)])
    assert len(list(run.read_completions())) == 5


def test_an_engine_that_forgets_a_request_is_no_success(run: Run) -> None:
    class Forgetful(ScriptedEngine):
        def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
            yield from super().generate(requests[1:])

    with pytest.raises(GenerationError, match=r"never answered 1 requests \(t/0#0\)"):
        go(run, [Forgetful(completed)])


def test_what_was_generated_but_not_graded_is_graded_later(run: Run) -> None:
    for request in REQUESTS:
        run.completions.append(completed(request))
    with Scoring(run, questions(ExactScorer()), Quiet(), workers=2) as scoring:
        assert score_missing(run, scoring) == 8
        assert score_missing(run, scoring) == 0


def test_a_verdict_that_cannot_be_written_ends_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.errors import StoreError

    def full(record: object) -> NoReturn:
        raise StoreError("verdicts.jsonl: cannot be written: No space left on device")

    monkeypatch.setattr(run.verdicts, "append", full)
    with pytest.raises(StoreError, match="No space left"):
        go(run, [ScriptedEngine(completed)])
    assert len(list(run.read_completions())) == 8


# --- why requests failed ------------------------------------------------------------------------


def test_reasons_are_of_one_kind_whatever_their_numbers() -> None:
    assert kind_of("HTTP 400: prompt of 17 tokens") == kind_of(
        "HTTP 400: prompt of 4,096 tokens".replace(",", "")
    )
    assert kind_of("HTTP 400: no") != kind_of("HTTP 403: no")
    assert kind_of("request 0f3a9c2e11 failed") == kind_of("request 77aa01b2c3 failed")


def test_failures_are_counted_by_kind_the_most_frequent_first() -> None:
    def failed(number: int, detail: str, status: VerdictStatus = "generation_error") -> Verdict:
        return Verdict(
            request_id=f"t/{number}#0", status=status, detail=detail, scorer="exact@1", wall_s=0
        )

    verdicts = [
        failed(0, "HTTP 403: moderated"),
        *(failed(number, f"HTTP 400: {number} tokens are too many") for number in range(1, 4)),
        failed(4, "scorer bug", "scorer_error"),
        failed(5, "fine", "correct"),
    ]
    found = count_failures(verdicts)
    assert [(each.requests, each.status) for each in found] == [
        (3, "generation_error"),
        (1, "generation_error"),
        (1, "scorer_error"),
    ]
    assert (found[0].first_request_id, found[0].reason) == (
        "t/1#0",
        "HTTP 400: 1 tokens are too many",
    )
    many = [failed(n, chr(97 + n // 26) + chr(97 + n % 26)) for n in range(100)]
    assert len(count_failures(many)) == KEPT
