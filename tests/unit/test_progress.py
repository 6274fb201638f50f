"""What a run says while it runs."""

from collections.abc import Callable

import pytest

from harness.records import Completion, RequestId
from harness.store.progress import RunProgress


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time passes when it is told to."""
    now = [100.0]
    monkeypatch.setattr("harness.store.progress.time.monotonic", lambda: now[0])

    def passes(seconds: float) -> None:
        now[0] += seconds

    return passes


def completion(tokens: int | None, number: int = 0) -> Completion:
    return Completion(
        request_id=RequestId.of(f"task/{number}", 0),
        text="",
        finish_reason="stop",
        prompt_tokens=None,
        completion_tokens=tokens,
        reasoning_tokens=None,
    )


def test_tokens_of_unfinished_answers_count(pass_time: Callable[[float], None]) -> None:
    progress = RunProgress(total=4, done=0, max_new_tokens=400)
    progress.generation_starts(None, lambda: 900)
    pass_time(10)
    progress.on_completion(completion(100))
    assert "100 tokens/s" in progress._line()
    # 3 answers may still bring 3 x 400 - 900 tokens, at 100/s; one ended in 10 s would say 0:30
    assert "0:03 left" in progress._line()


def test_time_left_is_known_before_the_first_answer(pass_time: Callable[[float], None]) -> None:
    progress = RunProgress(total=2, done=0, max_new_tokens=400)
    progress.generation_starts(None, lambda: 200)
    pass_time(10)
    assert "20 tokens/s" in progress._line()
    assert "0:30 left" in progress._line()


def test_a_few_tokens_promise_no_end(pass_time: Callable[[float], None]) -> None:
    """Most of the time so far went into reading prompts."""
    progress = RunProgress(total=40, done=0, max_new_tokens=400)
    progress.generation_starts(None, lambda: 12)
    pass_time(10)
    assert "1 tokens/s" in progress._line()
    assert "left" not in progress._line()


@pytest.mark.parametrize("under_way", [None, lambda: None])
def test_an_engine_that_does_not_count_leaves_the_finished_ones(
    pass_time: Callable[[float], None], under_way: Callable[[], int | None] | None
) -> None:
    progress = RunProgress(total=2, done=0, max_new_tokens=400)
    progress.generation_starts(None, under_way)
    pass_time(10)
    assert "tokens/s" not in progress._line()
    assert "left" not in progress._line()
    progress.on_completion(completion(100))
    assert "10 tokens/s" in progress._line()
    assert "0:10 left" in progress._line()


def test_answers_without_a_count_leave_the_rate_unknown(
    pass_time: Callable[[float], None],
) -> None:
    progress = RunProgress(total=2, done=0, max_new_tokens=400)
    progress.generation_starts(None, lambda: 50)
    pass_time(10)
    progress.on_completion(completion(None))
    assert "tokens/s" not in progress._line()
    assert "0:10 left" in progress._line()


def test_a_second_engine_starts_its_own_rate(pass_time: Callable[[float], None]) -> None:
    progress = RunProgress(total=3, done=0)
    progress.generation_starts(None)
    pass_time(10)
    progress.on_completion(completion(1000))
    progress.generation_starts(None)
    pass_time(10)
    progress.on_completion(completion(100, 1))
    assert "10 tokens/s" in progress._line()
    assert "0:10 left" in progress._line()
