"""Generation and scoring, side by side; each completion is written to disk first.

Accelerator time is scarce, so everything that follows a completion can be repeated from the files
alone.

The cut between the two matters most: accelerator time is scarce, so everything after a completion
can be done again from the files alone.
"""

import hashlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from harness.engines.base import Clock, Doubting, Engine, Stoppable
from harness.errors import GenerationError
from harness.io.redaction import redact
from harness.records import (
    Completion,
    GenerationRequest,
    Grade,
    Problem,
    Prompt,
    RequestId,
    Sampling,
    Verdict,
)
from harness.runner.error_watch import ErrorWatch
from harness.scorers.answers.marks import Reasoning
from harness.scorers.answers.thinking import split_thinking
from harness.scorers.base import Scorer, status_of
from harness.store.run_files import Run

log = logging.getLogger(__name__)

# Texts that wait for their grade in memory. Those beyond are graded from the file, after
# generation: scoring never holds generation up, and memory stays flat.
MAX_WAITING_BYTES = 64 << 20
RECORD_BYTES = 3000
"""Approximate bytes of a waiting completion besides its text."""
MAX_EXTRACTED = 10_000
"""The longest answer that a verdict keeps, in characters: a model that repeats itself can box
100,000."""
MAX_DETAIL = 1000


class Observer(Protocol):
    """Receives every event of a run as it happens."""

    def on_completion(self, completion: Completion) -> None:
        """Called when a completion has ended and is on disk."""

    def on_verdict(self, verdict: Verdict) -> None:
        """Called when a verdict is on disk."""


class Question(NamedTuple):
    """What a scorer needs to know of a request besides the completion."""

    problem: Problem
    opened_think: bool
    scorer: Scorer
    reasoning: Reasoning = None
    """The marks that enclose the model's reasoning."""


def build_requests(
    prompts: Sequence[Prompt], sampling: Sampling, samples_per_problem: int, run_seed: int
) -> list[GenerationRequest]:
    """One request per problem and sample; all first samples before all second ones."""
    return [
        # model_construct: validating would copy the token ids of every sample
        GenerationRequest.model_construct(
            request_id=RequestId.of(prompt.problem_id, sample),
            problem_id=prompt.problem_id,
            prompt_token_ids=prompt.token_ids,
            prompt_opened_think=prompt.opened_think,
            sampling=sampling,
            seed=request_seed(run_seed, f"{prompt.problem_id}#{sample}"),
            user_text=prompt.user_text,
            prompt_text=prompt.text,
            earlier_turns=prompt.earlier_turns,
            template_kwargs=prompt.template_kwargs,
        )
        for sample in range(samples_per_problem)
        for prompt in prompts
    ]


def request_seed(run_seed: int, request_id: str) -> int:
    """The seed of a request: the same whatever the subset, the order and the batch."""
    digest = hashlib.sha256(f"{run_seed}:{request_id}".encode()).digest()
    return int.from_bytes(digest[:8]) >> 1


def judge(question: Question, completion: Completion) -> Verdict:
    """Decides the verdict on one completion.

    Reasoning is never graded: a thought that did not end holds no answer. An answer that was cut
    off by the token limit is graded when it is whole, and is ``truncated`` otherwise.

    Reasoning is never graded: a thought that did not end holds no answer. An answer that was cut
    off by the token limit is graded when it is whole, and is ``truncated`` otherwise.
    """
    scorer = question.scorer
    split = split_thinking(
        completion.text,
        prompt_opened_think=question.opened_think,
        reasoning=question.reasoning,
    )
    cut_off = completion.finish_reason == "length"
    if completion.finish_reason == "error":
        return Verdict(
            request_id=completion.request_id,
            status="generation_error",
            detail=(completion.error or "")[:MAX_DETAIL],
            scorer=scorer.name,
            wall_s=0.0,
        )
    if split.answer is None:
        return Verdict(
            request_id=completion.request_id,
            status="truncated" if cut_off else "no_answer",
            detail="the thinking never ended",
            scorer=scorer.name,
            wall_s=0.0,
        )
    grade = _grade(scorer, question.problem, split.answer)
    return Verdict(
        request_id=completion.request_id,
        status=status_of(grade, is_cut_off=cut_off),
        extracted=_bounded(grade.extracted),
        detail=grade.detail[:MAX_DETAIL],
        scorer=scorer.name,
        wall_s=grade.wall_s,
    )


def _bounded(extracted: str | None) -> str | None:
    """An answer of bounded length; two long answers that differ stay different."""
    if extracted is None or len(extracted) <= MAX_EXTRACTED:
        return extracted
    digest = hashlib.sha256(extracted.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{extracted[:MAX_EXTRACTED]} … ({len(extracted)} characters, sha256 {digest})"


def _grade(scorer: Scorer, problem: Problem, answer: str) -> Grade:
    try:
        return scorer.grade(problem, answer)
    except Exception as error:  # a broken scorer must not read as a wrong answer
        log.exception("%s broke on %s", scorer.name, problem.problem_id)
        return Grade(status="scorer_error", detail=f"{type(error).__name__}: {error}")


class Scoring:
    """Grades completions in threads that wait for the scorers' processes."""

    def __init__(
        self, run: Run, questions: Mapping[str, Question], observer: Observer, workers: int
    ) -> None:
        self._run = run
        self._questions = questions
        self._observer = observer
        self._stopping = threading.Event()
        self._room = threading.Condition()
        self._waiting: dict[Future[None], int] = {}
        self._waiting_bytes = 0
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="scoring")
        self._failures: list[BaseException] = []

    def __enter__(self) -> Self:
        """Does nothing: threads start with the first submission."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for what was submitted; after an error, drops it: it can be graded later."""
        if error is not None:
            self._stopping.set()
        self._threads.shutdown(wait=True, cancel_futures=error is not None)
        if error is None and self._failures:
            raise self._failures[0]

    @property
    def is_full(self) -> bool:
        """Whether no further completion should be submitted now."""
        return self._waiting_bytes >= MAX_WAITING_BYTES

    def submit(self, completion: Completion) -> None:
        """Grades a completion in the background."""
        size = sys.getsizeof(completion.text) + RECORD_BYTES
        future = self._threads.submit(self._work, completion)
        with self._room:
            self._waiting[future] = size
            self._waiting_bytes += size
        future.add_done_callback(self._done)

    def wait_for_room(self) -> None:
        """Waits until another completion may be submitted."""
        with self._room:
            self._room.wait_for(lambda: not self.is_full)
        if self._failures:
            raise self._failures[0]

    def wait(self) -> None:
        """Waits until everything submitted is graded."""
        with self._room:
            waiting = list(self._waiting)
        for future in waiting:
            future.result()

    def _work(self, completion: Completion) -> None:
        if self._stopping.is_set():
            return
        verdict = judge(self._questions[completion.request_id.problem_id], completion)
        # A scorer that is being closed answers with an error; that is no verdict.
        if not self._stopping.is_set():
            self._run.verdicts.append(verdict)
            self._observer.on_verdict(verdict)

    def _done(self, future: Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._failures.append(error)
        with self._room:
            self._waiting_bytes -= self._waiting.pop(future)
            self._room.notify_all()


def generate(
    run: Run,
    requests: Sequence[GenerationRequest],
    open_engine: Callable[[], AbstractContextManager[Engine]],
    scoring: Scoring,
    observer: Observer,
    stop_at_error_fraction: float | None = None,
) -> None:
    """Generates what is missing; each completion is on disk before it is graded.

    An engine that dies is started once more with what is left. Requests that fail on their own are
    recorded when all others have ended, so that a run stopped before that sends them again.

    Args:
        run: Takes the completions.
        requests: What is missing.
        open_engine: Opens the engine.
        scoring: Grades the completions.
        observer: Receives each completion and verdict.
        stop_at_error_fraction: As in ``limits``.

    Raises:
        GenerationError: The engine died a second time. Everything up to then is kept.
        TooManyErrorsError: More requests failed than allowed. Everything up to then is kept.
    """
    left = {request.request_id: request for request in requests}
    deaths = 0
    while left:
        answered = _count_answered(run)
        try:
            with open_engine() as engine:
                watch = ErrorWatch(stop_at_error_fraction, answered)
                if answered and isinstance(engine, Doubting):
                    engine.expect_refusals()
                for raw in _answers(engine, list(left.values()), watch):
                    completion = without_secrets(raw)
                    run.completions.append(completion)
                    del left[completion.request_id]
                    observer.on_completion(completion)
                    if not scoring.is_full:
                        scoring.submit(completion)
        except GenerationError as error:
            deaths += 1
            if deaths > 1:
                raise
            log.warning("the engine died (%s); starting it once more", error)
        else:
            if left:
                missing = next(iter(left))
                raise GenerationError(
                    f"the engine never answered {len(left)} requests ({missing}); resume=RUN "
                    "asks them again"
                )


def _count_answered(run: Run) -> int:
    """How many requests of a run have a recorded answer."""
    recorded = run.read_completions(with_text=False)
    return sum(completion.finish_reason != "error" for completion in recorded)


def without_secrets(completion: Completion) -> Completion:
    """Removes secrets from an engine's error message; the model's text is never changed."""
    if completion.error is None:
        return completion
    return completion.model_copy(update={"error": redact(completion.error)})


def _answers(
    engine: Engine, requests: list[GenerationRequest], watch: ErrorWatch
) -> Iterator[Completion]:
    """Completions as they end; those that failed come last.

    An engine that sends requests has retried them already. Any other engine gets failed requests
    once more.

    An engine that sends requests has tried again itself where that could help; of any other, what
    failed is tried once more.
    """
    failed = []
    for completion in _until_too_many_fail(engine, requests, watch):
        if completion.finish_reason == "error":
            failed.append(completion)
        else:
            yield completion
    watch.check()
    yield from (each for each in failed if each.retries is not None)
    untried = {each.request_id for each in failed if each.retries is None}
    if untried:
        log.warning("%d requests failed; trying them once more", len(untried))
        yield from engine.generate([each for each in requests if each.request_id in untried])


def _until_too_many_fail(
    engine: Engine, requests: list[GenerationRequest], watch: ErrorWatch
) -> Iterator[Completion]:
    """Stops sending once too many requests failed; those already sent are still answered."""
    is_stopped = False
    for completion in engine.generate(requests):
        if not is_stopped:
            watch.count(without_secrets(completion))
        yield completion
        if watch.is_over and not is_stopped:
            if not isinstance(engine, Stoppable):
                return
            engine.stop()
            is_stopped = True


def score_missing(run: Run, scoring: Scoring, *, scorer_errors_too: bool = False) -> int:
    """Grades every recorded completion that has no verdict yet; returns how many that were.

    Args:
        run: Its files.
        scoring: Grades them.
        scorer_errors_too: Also grade answers on which a scorer broke.
    """
    scoring.wait()  # or what is being graded now would be graded twice
    verdicts = run.read_verdicts()
    missing = {
        completion.request_id
        for completion in run.read_completions(with_text=False)
        if _lacks_verdict(completion, verdicts.get(completion.request_id))
        or (scorer_errors_too and verdicts[completion.request_id].status == "scorer_error")
    }
    if missing:
        for completion in run.read_completions():
            if completion.request_id in missing:
                scoring.wait_for_room()
                scoring.submit(completion)
        scoring.wait()
    return len(missing)


def _lacks_verdict(completion: Completion, verdict: Verdict | None) -> bool:
    """Whether a completion needs grading: without a verdict, or with one on a failed attempt."""
    return verdict is None or (verdict.status == "generation_error" and not completion.is_failure)


def run_clock(start_s: float) -> Clock:
    """A clock that continues from ``start_s``, however long ago the run was last active."""
    origin = time.monotonic()
    return lambda: start_s + time.monotonic() - origin
