"""What a server's bad days make of requests and runs, without a second of real waiting."""

import asyncio
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.engines.openai_engine import OpenaiConfig, OpenaiEngine
from harness.engines.pace import FIRST_WAIT_S, JITTER, LONGEST_BACK_OFF_S, Pace
from harness.engines.refusals import ALL_REFUSED
from harness.engines.request_error import RequestError, retry_after_s
from harness.errors import ConfigError, GenerationError, UnavailableError
from harness.metrics.pauses import without_pauses
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import (
    Completion,
    GenerationRequest,
    MathReference,
    Problem,
    Prompt,
    Sampling,
)
from harness.runner.prepare_new import check_lengths
from tests.facts import known, mentions
from tests.fault_server import (
    FakeTime,
    FaultServer,
    Handler,
    Role,
    chats,
    chats_whole,
    completes,
    hangs,
    loses,
    moves,
    only,
    page,
    refuses,
    sends,
    serving,
    strict,
    unless,
)

HOSTED = ResolvedModel(name="hosted", path="", revision=None, sha256=None)
WELL = chats({"content": "2"})


def streams(*events: dict[str, Any]) -> Role:
    """Streams these events."""
    return lambda handler: handler.stream(*events)


def counted(role: Role, lookups: list[int]) -> Role:
    """The same role, which notes each request that it answers."""

    def answer(handler: Handler) -> None:
        lookups.append(1)
        role(handler)

    return answer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        running.answers = [WELL]
        yield running


def ask(number: int, tokens: tuple[int, ...] = ()) -> GenerationRequest:
    return GenerationRequest(
        request_id=f"p/{number}#0",
        problem_id=f"p/{number}",
        prompt_token_ids=tokens,
        prompt_opened_think=False,
        user_text=f"question {number}",
        prompt_text=f"<user>question {number}",
        sampling=Sampling(temperature=0.5, top_p=0.9, top_k=None, max_new_tokens=99),
        seed=number,
    )


class Attached:
    """An engine on a clock that only its own waits move."""

    def __init__(self, url: str, **knobs: Any) -> None:
        self.time = FakeTime()
        given = {"mode": "chat", "concurrency": 1, **knobs}
        config = OpenaiConfig(kind="openai", base_url=url, **given)
        self.engine = OpenaiEngine(
            config, HOSTED, Codec.load(HOSTED), self.time, 999, self.time.sleep
        )

    def answers(self, count: int = 1) -> list[Completion]:
        with self.engine:
            return list(self.engine.generate([ask(number) for number in range(count)]))


# --- retries and waits -------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_a_server_refuses_for_now_is_tried_again_after_rising_waits(
    server: FaultServer, status: int
) -> None:
    server.answers = [*[refuses(status)] * 7, WELL]
    attached = Attached(server.url)
    (got,) = attached.answers()
    assert (got.finish_reason, got.retries) == ("stop", 7)
    for number, wait_s in enumerate(attached.time.slept):
        least_s = FIRST_WAIT_S * 2**number
        assert least_s <= wait_s <= least_s * (1 + JITTER)
    assert sum(attached.time.slept) > 60, "longer than a window of a minute"


@pytest.mark.parametrize("status", [400, 402, 403, 404, 413, 422, 501])
def test_a_refusal_of_one_request_is_not_tried_again(server: FaultServer, status: int) -> None:
    server.answers = [WELL, refuses(status), WELL]
    attached = Attached(server.url)
    got = attached.answers(3)
    assert [(each.finish_reason, each.retries) for each in got] == [
        ("stop", 0),
        ("error", 0),
        ("stop", 0),
    ]
    assert known(got[1].error).startswith(f"HTTP {status}: ")
    assert attached.time.slept == []


def test_a_request_is_not_tried_for_ever(server: FaultServer) -> None:
    server.answers = [refuses(503, "busy")]
    attached = Attached(server.url, max_retries=2)
    (got,) = attached.answers()
    assert (got.finish_reason, got.retries, len(server.asked)) == ("error", 2, 3)
    assert got.error == "HTTP 503: busy (tried 3 times)"


def test_no_wait_is_longer_than_the_longest() -> None:
    pace = Pace(FakeTime(), max_retries=99, longest_wait_s=1)
    waits = [pace.before_retry_s(RequestError("", can_retry=True), n, seed=n) for n in range(99)]
    assert max(map(known, waits)) <= LONGEST_BACK_OFF_S * (1 + JITTER)


def test_the_wait_that_a_server_asks_for_is_kept(server: FaultServer) -> None:
    server.answers = [
        refuses(429, Retry_After="300"),
        refuses(429, retry_after_ms="1500"),
        refuses(503, Retry_After="0"),
        WELL,
    ]
    attached = Attached(server.url)
    (got,) = attached.answers()
    assert (got.finish_reason, attached.time.slept[:2]) == ("stop", [300, 1.5])
    (third_s,) = attached.time.slept[2:]
    assert third_s >= FIRST_WAIT_S * 2**2, "no wait asked for is no leave to come back at once"


@pytest.mark.parametrize("asked", ["0", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_server_that_asks_for_no_wait_is_not_asked_again_at_once(
    server: FaultServer, asked: str
) -> None:
    server.answers = [*[refuses(503, Retry_After=asked)] * 7, WELL]
    attached = Attached(server.url)
    (got,) = attached.answers()
    assert (got.finish_reason, got.retries) == ("stop", 7)
    assert all(wait >= FIRST_WAIT_S * 2**n for n, wait in enumerate(attached.time.slept))
    assert len(attached.time.slept) == 7


def test_a_wait_can_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    assert 290 < known(retry_after_s({"retry-after": date})) <= 300
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for odd in ("", "soon", "-5", "nan", "inf"):
        assert retry_after_s({"retry-after": odd}) is None


def test_a_wait_that_is_too_long_ends_the_request_and_names_the_key(server: FaultServer) -> None:
    server.answers = [refuses(429, Retry_After="86400"), WELL]
    attached = Attached(server.url)
    got = attached.answers(2)
    assert [each.finish_reason for each in got] == ["error", "stop"]
    assert "engine.max_retry_wait_s=600" in known(got[0].error)
    assert attached.time.slept == []


def test_an_answer_lost_on_its_way_is_asked_for_again_after_a_wait(server: FaultServer) -> None:
    server.answers = [loses, loses, WELL]
    attached = Attached(server.url)
    (got,) = attached.answers()
    assert (got.text, got.retries) == ("2", 2)  # without what was lost
    assert len(attached.time.slept) == 2
    assert min(attached.time.slept) >= FIRST_WAIT_S


def test_a_server_that_hangs_is_given_up_once(server: FaultServer) -> None:
    released = threading.Event()
    server.answers = [hangs(released), WELL]
    got = Attached(server.url, silence_limit_s=0.3).answers(2)
    released.set()
    assert [(each.finish_reason, each.retries) for each in got] == [("error", 0), ("stop", 0)]
    assert "engine.silence_limit_s" in known(got[0].error)


def test_a_hung_server_cannot_take_hours_for_one_request_by_default() -> None:
    config = OpenaiConfig(kind="openai", base_url="http://localhost/v1")
    waits = sum(min(FIRST_WAIT_S * 2**n, LONGEST_BACK_OFF_S) for n in range(config.max_retries))
    assert config.silence_limit_s + waits < 3600


def test_waits_are_in_no_time_of_the_request(server: FaultServer) -> None:
    server.answers = [refuses(429, Retry_After="300"), WELL]
    (got,) = Attached(server.url).answers()
    assert (got.queued_s, got.sent_s, got.waited_s) == (0, 300, 300)
    assert got.started_s == got.sent_s
    assert known(got.finished_s) - known(got.started_s) == 0, (
        "the clock moved while it waited alone"
    )


def test_a_pause_of_all_requests_is_not_in_the_rate() -> None:
    """Two requests for 10 s each, at the end of which one waited 300 s; the other ended at 20."""
    on_clock = without_pauses([(10, 310), (0, 0)], [(310, 320), (0, 20)])
    assert [on_clock(at) for at in (0, 20, 100, 310, 320)] == [0, 20, 20, 20, 30]


def test_attempts_keep_to_the_rate_limit(server: FaultServer) -> None:
    server.answers = [refuses(503, Retry_After="0"), WELL]
    attached = Attached(server.url, requests_per_minute=12)
    got = attached.answers(5)
    sent = [each.sent_s for each in got]
    assert sent[0] == 5, "its second attempt"
    assert [known(later) - known(earlier) for earlier, later in pairwise(sent)] == [5] * 4
    assert all(each.finish_reason == "stop" for each in got)


# --- the server as a whole ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal", [refuses(401), refuses(402), refuses(429, "x", "insufficient_quota")]
)
def test_a_refused_account_ends_the_run_at_once(server: FaultServer, refusal: Role) -> None:
    server.answers = [refusal]
    with pytest.raises(UnavailableError):
        Attached(server.url).answers(9)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 402])
def test_an_account_that_runs_out_ends_the_run_and_keeps_what_was_answered(
    server: FaultServer, status: int
) -> None:
    server.answers = [WELL, WELL, refuses(status)]
    attached = Attached(server.url)
    got: list[Completion] = []
    with attached.engine, pytest.raises(UnavailableError):
        got += attached.engine.generate([ask(number) for number in range(99)])
    assert len(server.asked) == 2 + ALL_REFUSED


def test_what_is_under_way_is_answered_before_the_run_ends(server: FaultServer) -> None:
    both, refused = threading.Barrier(2), threading.Event()

    def slow(handler: Any) -> None:
        both.wait(60)
        refused.wait(60)
        WELL(handler)

    def refusing(handler: Any) -> None:
        both.wait(60)
        refuses(402, "pay first")(handler)
        refused.set()

    server.answers = [
        lambda handler: (slow if "question 0" in str(handler.asked) else refusing)(handler)
    ]
    attached = Attached(server.url, concurrency=2)
    with attached.engine as engine:
        completions = engine.generate([ask(number) for number in range(9)])
        assert next(completions).finish_reason == "stop"
        with pytest.raises(UnavailableError, match="pay first"):
            next(completions)
    assert len(server.asked) == 2


def test_a_server_that_refuses_everything_ends_the_run(server: FaultServer) -> None:
    server.answers = [refuses(403, "not for you")]
    with pytest.raises(UnavailableError, match="not for you"):
        Attached(server.url).answers(70)
    assert len(server.asked) == ALL_REFUSED


def hangs_up(handler: Any) -> None:
    handler.connection.close()


FILTERED = chats({"content": "2"}, finish="content_filter")
UNREADABLE = sends({"choices": [7]})
BROKEN_WITHIN = sends({"error": {"message": "broke"}})


@pytest.mark.parametrize("odd", [FILTERED, UNREADABLE, BROKEN_WITHIN])
def test_a_server_that_said_what_is_wrong_is_not_asked_whether_it_is_there(
    server: FaultServer, odd: Role
) -> None:
    server.answers = [WELL, odd, WELL]
    attached = Attached(server.url)
    lookups: list[int] = []
    with attached.engine as engine:
        server.lists = counted(refuses(500), lookups)
        got = list(engine.generate([ask(number) for number in range(3)]))
    assert [each.finish_reason for each in got] == ["stop", "error", "stop"]
    assert lookups == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 501])
def test_a_server_that_refuses_its_list_is_there(server: FaultServer, status: int) -> None:
    server.answers = [WELL, refuses(500, "broke"), WELL]
    attached = Attached(server.url, max_retries=0)
    lookups: list[int] = []
    with attached.engine as engine:
        server.lists = counted(refuses(status), lookups)
        got = list(engine.generate([ask(number) for number in range(3)]))
    assert [each.finish_reason for each in got] == ["stop", "error", "stop"]
    assert lookups, "a server that breaks may be gone"


@pytest.mark.parametrize("end", [refuses(502), loses, hangs_up])
def test_a_server_that_breaks_everywhere_is_gone(server: FaultServer, end: Role) -> None:
    server.answers = [WELL, end]
    attached = Attached(server.url, max_retries=0)
    with attached.engine as engine:
        server.lists = refuses(503)
        with pytest.raises(GenerationError, match=r"^engine\.base_url="):
            list(engine.generate([ask(number) for number in range(3)]))


def test_all_that_are_sent_before_the_first_reply_are_the_first_requests(
    server: FaultServer,
) -> None:
    """Refusals come at once, answers take their time: five quick ones say nothing of the others."""
    later = threading.Event()

    def answering(handler: Any) -> None:
        number = int(handler.asked["messages"][0]["content"].split()[-1])
        if number == 0:
            later.wait(10)
            WELL(handler)
            return
        if number == 20:
            later.set()
        refuses(400, "too long")(handler)

    server.answers = [answering]
    got = Attached(server.url, concurrency=8).answers(21)
    assert sum(each.finish_reason == "error" for each in got) == 20


def test_a_server_that_refuses_all_that_are_under_way_ends_the_run(server: FaultServer) -> None:
    eight = threading.Barrier(8)

    def refusing(handler: Any) -> None:
        number = int(handler.asked["messages"][0]["content"].split()[-1])
        if number < 8:
            eight.wait(60)
        refuses(400, "too long")(handler)

    server.answers = [refusing]
    with pytest.raises(UnavailableError, match="first 8 requests"):
        Attached(server.url, concurrency=8).answers(70)
    assert len(server.asked) < 70


def test_one_refused_prompt_of_seventy_is_one_error(server: FaultServer) -> None:
    is_it = lambda asked: asked["messages"][0]["content"] == "question 3"  # noqa: E731
    for refusal in (refuses(403, "moderated"), refuses(404, "no such route")):
        server.answers = [unless(is_it, refusal, WELL)]
        got = Attached(server.url, concurrency=8).answers(70)
        assert sum(each.finish_reason == "error" for each in got) == 1


def test_nothing_is_sent_after_a_stop(server: FaultServer) -> None:
    attached = Attached(server.url)
    got = []
    with attached.engine as engine:
        for completion in engine.generate([ask(number) for number in range(9)]):
            got.append(completion)
            engine.stop()
        assert len(got) < 9
        assert len(list(engine.generate([ask(9)]))) == 1, "another call begins anew"


def test_a_stop_ends_the_waits(server: FaultServer) -> None:
    """With a real clock: the wait would be of ten minutes."""
    server.answers = [refuses(429, Retry_After="600")]
    engine = OpenaiEngine(
        OpenaiConfig(kind="openai", base_url=server.url, mode="chat"),
        HOSTED, Codec.load(HOSTED), FakeTime(), 999,
    )  # fmt: skip
    with engine:
        timer = threading.Timer(0.5, engine.stop)
        timer.start()
        (got,) = engine.generate([ask(0)])
        timer.join()
    assert got.finish_reason == "error"


def test_what_waits_for_its_turn_is_not_sent_after_a_stop(server: FaultServer) -> None:
    """With a real clock: the second turn of a minute comes after 60 s."""
    attached_to = OpenaiConfig(
        kind="openai", base_url=server.url, mode="chat", concurrency=8, requests_per_minute=1
    )
    engine = OpenaiEngine(attached_to, HOSTED, Codec.load(HOSTED), time.monotonic, 999)
    with engine:
        completions = engine.generate([ask(number) for number in range(20)])
        first = next(completions)
        engine.stop()
        assert (first.finish_reason, list(completions)) == ("stop", [])
    assert len(server.asked) == 1


def test_a_retry_that_waits_for_its_turn_is_given_up_at_a_stop(server: FaultServer) -> None:
    server.answers = [refuses(503, "busy")]
    attached_to = OpenaiConfig(
        kind="openai", base_url=server.url, mode="chat", requests_per_minute=1, max_retries=1
    )
    # Its own wait passes at once; its turn never comes.
    sleep = lambda seconds: asyncio.sleep(0 if seconds < 1 else 600)  # noqa: E731
    engine = OpenaiEngine(attached_to, HOSTED, Codec.load(HOSTED), FakeTime(), 999, sleep)
    with engine:
        timer = threading.Timer(0.5, engine.stop)
        timer.start()
        (got,) = engine.generate([ask(0)])
        timer.join()
    assert (got.finish_reason, got.retries, len(server.asked)) == ("error", 0, 1)
    assert "HTTP 503: busy" in known(got.error)


def test_turns_that_a_stop_left_unused_hold_nothing_up_afterwards() -> None:
    clock = FakeTime()
    pace = Pace(clock, max_retries=0, longest_wait_s=1, requests_per_minute=6, sleep=clock.sleep)

    async def turns() -> list[bool]:
        before = [await pace.turn()]
        pace.stop()
        pace._next_turn_s = 500.0  # fifty others wait
        before.append(await pace.turn())
        pace.restart()
        return [*before, await pace.turn()]

    assert asyncio.run(turns()) == [True, False, True]
    assert clock.now == 10  # one interval, so the rate is limited still


# --- modes ---------------------------------------------------------------------------------------


def test_a_server_without_completions_is_told_from_one_with(server: FaultServer) -> None:
    server.answers = [only("/v1/chat/completions", WELL)]
    with pytest.raises(UnavailableError, match=r"engine\.mode=chat"):
        Attached(server.url, mode="tokens").answers(70)


def test_a_server_without_token_ids_is_told(server: FaultServer) -> None:
    for status in (400, 422, 500):
        server.answers = [
            unless(lambda asked: not isinstance(asked["prompt"], str), refuses(status), WELL)
        ]
        with pytest.raises(UnavailableError, match=r"engine\.mode=text"):
            Attached(server.url, mode="tokens", max_retries=1).answers(70)


# --- what is left out, and what a server leaves out ---------------------------------------------


def test_omitted_fields_are_not_sent(server: FaultServer) -> None:
    given = ["seed", "temperature", "top_p", "presence_penalty", "frequency_penalty",
             "stream_options"]  # fmt: skip
    server.answers = [strict(*given, role=WELL)]
    (got,) = Attached(server.url).answers()
    assert got.finish_reason == "error"
    (got,) = Attached(server.url, omit=given, max_tokens_field="max_completion_tokens").answers()
    assert got.finish_reason == "stop"
    assert server.asked[-1].keys() == {
        "path", "model", "messages", "stream", "max_completion_tokens",
    }  # fmt: skip


def test_only_known_fields_are_omitted_and_only_sampling_is_of_the_protocol() -> None:
    where = {"kind": "openai", "base_url": "http://localhost/v1"}
    for unknown in ("sed", "messages", "max_tokens"):
        with pytest.raises(ValidationError):
            OpenaiConfig(**where, omit=[unknown])
    config = OpenaiConfig(**where, omit=["stream_options", "top_p", "seed", "stream"])
    assert config.sampling_omitted == ("seed", "top_p")


def test_without_stream_nothing_of_a_stream_is_asked_for(server: FaultServer) -> None:
    server.answers = [chats_whole({"content": "2"})]
    (got,) = Attached(server.url, omit=["stream"]).answers()
    assert got.text == "2"
    assert not {"stream", "stream_options"} & server.asked[0].keys()


def test_an_answer_in_one_piece_has_no_first_token(server: FaultServer) -> None:
    server.answers = [chats_whole({"content": "2", "reasoning_content": "Hm"})]
    (got,) = Attached(server.url).answers()
    assert (got.finish_reason, got.completion_tokens) == ("stop", 5)
    assert got.text.endswith("2")
    assert "Hm" in got.text
    assert (got.first_token_s, got.token_gaps) == (None, None)
    assert got.finished_s is not None


NO_USAGE: list[Any] = [None, {}, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}]


@pytest.mark.parametrize("usage", NO_USAGE)
@pytest.mark.parametrize("answer", [chats, chats_whole])
def test_counts_that_are_not_told_are_unknown(
    server: FaultServer, usage: dict[str, int] | None, answer: Callable[..., Role]
) -> None:
    server.answers = [answer({"content": "2"}, usage=usage)]
    (got,) = Attached(server.url).answers()
    assert (got.finish_reason, got.text) == ("stop", "2")
    assert (got.prompt_tokens, got.completion_tokens) == (None, None)
    assert got.reasoning_tokens in {None, 0}


@pytest.mark.parametrize(
    ("word", "meant"),
    [("stop", "stop"), ("eos", "stop"), ("EOS_TOKEN", "stop"), ("end_turn", "stop"),
     ("max_tokens", "length"), ("length", "length"), ("tool_calls", "error"), ("odd", "error")],
)  # fmt: skip
def test_other_words_for_the_end_are_read(server: FaultServer, word: str, meant: str) -> None:
    server.answers = [chats({"content": "2"}, finish=word)]
    (got,) = Attached(server.url).answers()
    assert got.finish_reason == meant


@pytest.mark.parametrize("finish", [None, ""])
def test_without_a_word_for_the_end_the_count_tells(
    server: FaultServer, finish: str | None
) -> None:
    for tokens, meant in [(98, "stop"), (99, "length")]:
        usage = {"prompt_tokens": 7, "completion_tokens": tokens}
        server.answers = [chats({"content": "2"}, finish=finish, usage=usage)]
        (got,) = Attached(server.url).answers()
        assert got.finish_reason == meant
    server.answers = [chats({"content": "2"}, finish=finish, usage=None)]
    (got,) = Attached(server.url).answers()
    assert got.finish_reason == "error", "it may have been cut off"


@pytest.mark.parametrize(
    "odd",
    [sends("hello"), sends([1]), sends({"choices": [7]}), sends(None), page(200),
     sends({"error": {"message": "broke"}}), sends({"choices": [{"message": {"content": 7}}]}),
     sends({"choices": [], "usage": {"completion_tokens": "many"}}),
     sends({"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}),
     sends({"choices": [{"message": {"content": [7]}, "finish_reason": "stop"}]}),
     sends({"choices": [{"message": {"content": [{"type": "x"}]}, "finish_reason": "stop"}]}),
     sends({"choices": [{"message": {"reasoning": 7}, "finish_reason": "stop"}]}),
     sends({"choices": [{"text": 7, "finish_reason": "stop"}]})],
)  # fmt: skip
def test_an_odd_answer_is_its_requests_own_error(server: FaultServer, odd: Role) -> None:
    server.answers = [WELL, odd, WELL]
    got = Attached(server.url).answers(3)
    assert [each.finish_reason for each in got] == ["stop", "error", "stop"]
    assert "\n" not in known(got[1].error)


@pytest.mark.parametrize("tokens", [0, 5, 99, None])
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_reply_without_any_answer_is_no_empty_answer_of_the_model(
    server: FaultServer, tokens: int | None, is_streamed: bool
) -> None:
    nothing = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}}
    server.answers = [(lambda handler: handler.stream(nothing)) if is_streamed else sends(nothing)]
    (got,) = Attached(server.url).answers()
    assert got.finish_reason == "error"
    assert mentions(known(got.error), "server", "answer")


@pytest.mark.parametrize("answer", [chats, chats_whole])
def test_content_in_parts_is_put_together_and_its_thoughts_are_thoughts(
    server: FaultServer, answer: Callable[..., Role]
) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    text = [{"type": "text", "text": "It is "}, {"type": "text", "text": "2"}]
    server.answers = [answer({"content": [thought, *text]})]
    (got,) = Attached(server.url).answers()
    assert (got.finish_reason, got.text) == ("stop", "<think>\nHm\n</think>\n\nIt is 2")


def test_separators_within_the_text_do_not_break_a_stream(server: FaultServer) -> None:
    text = "a\u2028b\u0085c\x0bd"
    server.answers = [chats({"content": text})]
    (got,) = Attached(server.url).answers()
    assert got.text == text


# --- the list of models ---------------------------------------------------------------------------

NO_LISTS = [
    page(200),
    page(404),
    refuses(404),
    refuses(405),
    refuses(403),
    refuses(501),
    sends("hello"),
    sends({"object": "list"}),
    sends({"data": "none"}),
    sends([]),
    sends({"data": [None, "a", {}]}),
]


@pytest.mark.parametrize("role", NO_LISTS)
def test_a_server_that_lists_nothing_needs_the_name(server: FaultServer, role: Role) -> None:
    server.lists = role
    with pytest.raises(UnavailableError):
        Attached(server.url).answers()
    (got,) = Attached(server.url, served_model="mine").answers()
    assert (got.finish_reason, server.asked[0]["model"]) == ("stop", "mine")


@pytest.mark.parametrize(
    "listed", [[{"id": "m"}], {"models": [{"id": "m"}]}, {"data": [{"id": "m"}]}]
)
def test_lists_of_other_shapes_are_read(
    server: FaultServer, listed: list[dict[str, str]] | dict[str, list[dict[str, str]]]
) -> None:
    server.lists = sends(listed)
    Attached(server.url).answers()
    assert server.asked[0]["model"] == "m"


@pytest.mark.parametrize("role", [refuses(401), refuses(500), refuses(503)])
def test_a_refused_key_or_a_broken_server_ends_the_run_before_it_begins(
    server: FaultServer, role: Role
) -> None:
    server.lists = role
    with pytest.raises(UnavailableError):
        Attached(server.url, served_model="mine").answers()
    assert server.asked == []


# --- headers --------------------------------------------------------------------------------------


def test_headers_are_sent_with_every_request(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET_HEADER", "s3cret-value")
    attached = Attached(
        server.url, headers={"X-Team": "research"}, headers_env={"X-Api-Key": "MY_SECRET_HEADER"}
    )
    attached.answers()
    (sent,) = server.headers
    assert (sent["X-Team"], sent["X-Api-Key"]) == ("research", "s3cret-value")
    assert "Authorization" not in sent
    assert "s3cret-value" not in str(attached.engine.info())


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "Cookie", "x-auth-token"])
def test_a_header_that_holds_a_secret_is_not_written_out(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OpenaiConfig(kind="openai", base_url="http://localhost/v1", headers={name: "v4lue"})
    assert f"engine.headers_env.{name}" in str(caught.value)


def test_a_secret_header_is_struck_out_of_what_a_server_says(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_VALUE", "s3cret-value")
    server.answers = [WELL, refuses(400, "who is s3cret-value?")]
    got = Attached(server.url, headers_env={"X-Api-Key": "MY_VALUE"}).answers(2)
    assert "s3cret-value" not in known(got[1].error)


# --- TLS ------------------------------------------------------------------------------------------

NEEDS_OPENSSL = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of a server that vouches for itself, with its key in the same file."""
    file = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(tmp_path / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + (tmp_path / "cert.pem").read_text())
    return file


@NEEDS_OPENSSL
def test_a_certificate_that_is_not_trusted_is_told_and_can_be(
    server: FaultServer, certificate: Path
) -> None:
    server.encrypt(certificate)
    with pytest.raises(UnavailableError, match=r"engine\.ca_file=FILE .* engine\.verify=false"):
        Attached(server.url).answers()
    for knobs in ({"ca_file": str(certificate)}, {"verify": False}):
        (got,) = Attached(server.url, **knobs).answers()
        assert got.finish_reason == "stop"


def test_a_file_of_certificates_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=rf"^engine\.ca_file={tmp_path / name}: "):
            Attached("https://localhost/v1", ca_file=str(tmp_path / name))
    with pytest.raises(ValidationError):
        OpenaiConfig(kind="openai", base_url="https://localhost/v1", ca_file="a", verify=False)


# --- prompts as text ------------------------------------------------------------------------------


def test_prompts_as_text_have_one_bos_wherever_it_is_added(
    server: FaultServer, r1_tokenizer: Path
) -> None:
    """R1's template writes a BOS, and its tokenizer adds one: a server would make two of them."""
    model = ResolvedModel(name="r1", path=str(r1_tokenizer), revision=None, sha256=None)
    codec = Codec.load(model)
    problem = Problem(problem_id="p/0", question="1+1?", reference=MathReference(answer="2"))
    prompt = codec.prompt(problem, "{question}", chat=True, force_think=True)
    request = ask(0, prompt.token_ids).model_copy(update={"prompt_text": prompt.text})
    bos = "<｜begin▁of▁sentence｜>"  # noqa: RUF001 - its spelling
    assert prompt.text.startswith(bos)
    for owner, starts_with_bos in [("somebody", False), ("vllm", True)]:
        server.models = [{"id": "r1", "owned_by": owner}]
        server.answers = [completes("2</think>2")]
        config = OpenaiConfig(kind="openai", base_url=server.url, mode="text")
        with OpenaiEngine(config, model, codec, FakeTime(), 999) as engine:
            (got,) = engine.generate([request])
        asked = server.asked[-1]
        assert (got.finish_reason, asked["path"]) == ("stop", "/v1/completions")
        assert asked["prompt"].startswith(bos) is starts_with_bos
        assert asked.get("add_special_tokens", True) is not starts_with_bos
        ids = codec._tokenizer.encode(
            asked["prompt"], add_special_tokens=asked.get("add_special_tokens", True)
        )
        assert tuple(ids) == prompt.token_ids


# --- prompts that are too long ----------------------------------------------------------------


def test_a_prompt_that_is_too_long_is_its_own_error(server: FaultServer) -> None:
    """Above the protocol's context, whatever the server would take."""
    server.models = [{"id": "hosted", "owned_by": "somebody", "max_model_len": 32_000}]
    server.answers = [completes("2")]
    attached = Attached(server.url, mode="tokens")
    long, short = ask(0, tuple(range(901))), ask(1, tuple(range(900)))
    with attached.engine as engine:
        got = {each.request_id: each.finish_reason for each in engine.generate([long, short])}
    assert got == {long.request_id: "error", short.request_id: "stop"}
    assert len(server.asked) == 1


def test_only_a_task_of_nothing_but_long_prompts_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    prompts = {
        name: Prompt(problem_id=name, text="", token_ids=tuple(range(size)), opened_think=False)
        for name, size in [("t/short", 8), ("t/long", 9), ("t/longest", 10)]
    }
    check_lengths(prompts, 10)
    assert not caplog.records
    check_lengths(prompts, 8)
    assert "2 of 3" in caplog.text
    assert "t/longest" in caplog.text
    with pytest.raises(ConfigError, match=r"^protocol\.max_prompt_tokens=7: 3 of 3"):
        check_lengths(prompts, 7)


def test_a_key_does_not_follow_a_server_that_sends_its_clients_elsewhere(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_VALUE", "s3cret-value")
    knobs = {"headers_env": {"X-Api-Key": "MY_VALUE"}, "served_model": "hosted"}
    with serving() as elsewhere:
        elsewhere.answers = [WELL]
        server.answers = [WELL, moves(f"{elsewhere.url}/chat/completions")]
        got = Attached(server.url, **knobs).answers(2)
        assert (got[1].finish_reason, got[1].retries) == ("error", 0)
        assert elsewhere.url in known(got[1].error)
        server.lists = moves(f"{elsewhere.url}/models")
        with pytest.raises(UnavailableError, match=elsewhere.url):
            Attached(server.url, **knobs).answers()
        assert elsewhere.asked == []


# --- a stream as vLLM writes it -------------------------------------------------------------------


def test_token_ids_of_a_stream_are_the_answer(server: FaultServer, r1_tokenizer: Path) -> None:
    """Chunks of several tokens, fields left out where unset, measures in the last one."""
    model = ResolvedModel(name="r1", path=str(r1_tokenizer), revision=None, sha256=None)
    codec = Codec.load(model)
    ids = [*codec._tokenizer.encode("It is 2.", add_special_tokens=False), 151_643]
    usage = {"prompt_tokens": 3, "total_tokens": 3 + len(ids), "completion_tokens": len(ids),
             "prompt_tokens_details": {"cached_tokens": 2}}  # fmt: skip
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "text": "It", "token_ids": ids[:1], "prompt_token_ids": [1]}]},
        {
            "choices": [
                {"index": 0, "text": " is 2.", "token_ids": ids[1:], "finish_reason": "stop"}
            ]
        },
        {"choices": [], "usage": usage, "metrics": {"time_to_first_token_ms": 0.0}},
    ]
    server.models = [{"id": "r1", "owned_by": "vllm", "max_model_len": 4096}]
    for sent, end in [(chunks, "stop"), (chunks[:1] + chunks[2:], "error")]:
        server.answers = [streams(*sent)]
        config = OpenaiConfig(kind="openai", base_url=server.url)
        with OpenaiEngine(config, model, codec, FakeTime(), 999) as engine:
            (got,) = engine.generate([ask(0, (151_646, 1, 2))])
        assert got.finish_reason == end, "ids and their count disagree in the second"
    server.answers = [lambda handler: handler.stream(*chunks)]
    with OpenaiEngine(config, model, codec, FakeTime(), 999) as engine:
        (got,) = engine.generate([ask(0, (151_646, 1, 2))])
    assert (got.text, got.completion_tokens, got.cached_prompt_tokens) == ("It is 2.", len(ids), 2)
    asked = server.asked[-1]
    assert asked["return_token_ids"] is True
    assert (asked["ignore_eos"], asked["stop_token_ids"]) == (True, sorted(codec.stop_token_ids))
