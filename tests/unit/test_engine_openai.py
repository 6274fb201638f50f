"""Attaching to a server: a real HTTP server in a thread plays one, down to its bad days."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.engines.build import build_engine
from harness.engines.openai_engine import OpenaiConfig, OpenaiEngine
from harness.errors import ConfigError, GenerationError, UnavailableError
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec, TextAnswer
from harness.records import Completion, GenerationRequest, MathReference, Problem, Sampling
from harness.scorers.answers.marks import STYLES, StyleName
from harness.scorers.answers.thinking import split_thinking
from tests.facts import known, mentions
from tests.fault_server import (
    KEY,
    USAGE,
    FakeTime,
    FaultServer,
    Handler,
    Role,
    chats,
    hangs,
    refuses,
    serving,
)

HOSTED = ResolvedModel(name="hosted", path="", revision=None, sha256=None)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("PLAYED_KEY", KEY)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


def config(base_url: str, **knobs: Any) -> OpenaiConfig:
    given = {"mode": "chat", "api_key_env": "PLAYED_KEY", **knobs}
    return OpenaiConfig(kind="openai", base_url=base_url, **given)


def ask(number: int = 0) -> GenerationRequest:
    problem = Problem(
        problem_id=f"p/{number}", question="1+1?", reference=MathReference(answer="2")
    )
    prompt = Codec.load(HOSTED).prompt(problem, "{question}", chat=True, force_think=False)
    return GenerationRequest(
        request_id=f"p/{number}#0",
        problem_id=f"p/{number}",
        prompt_token_ids=prompt.token_ids,
        prompt_opened_think=prompt.opened_think,
        user_text=prompt.user_text,
        sampling=Sampling(temperature=0.5, top_p=0.9, top_k=None, max_new_tokens=99),
        seed=2**40 + number,
    )


def answers(base_url: str, count: int = 1, **knobs: Any) -> list[Completion]:
    """Answers without any real wait."""
    engine = OpenaiEngine(
        config(base_url, **knobs), HOSTED, Codec.load(HOSTED), time.monotonic, 999, FakeTime().sleep
    )
    with engine:
        return list(engine.generate([ask(number) for number in range(count)]))


# --- what is asked, and what an answer adds up to ---------------------------------------------


def test_all_sampling_is_said_and_nothing_that_only_vllm_knows(played: FaultServer) -> None:
    played.answers = [chats({"content": "2"})]
    answers(played.url, extra_body={"reasoning_effort": "high"})
    (asked,) = played.asked
    assert asked == {
        "path": "/v1/chat/completions",
        "model": "hosted",
        "messages": [{"role": "user", "content": "1+1?"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "max_tokens": 99,
        "seed": 2**40 % 2**31,
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "high",
    }


@pytest.mark.parametrize("owner", ["vllm", "somebody"])
def test_a_field_that_contradicts_the_protocol_is_refused_before_anything_is_asked(
    played: FaultServer, owner: str
) -> None:
    played.models[0]["owned_by"] = owner
    with pytest.raises(ConfigError, match=r"^engine\.extra_body\.min_p=0\.2: .*protocol\.min_p"):
        answers(played.url, extra_body={"min_p": 0.2})
    assert played.asked == []


@pytest.mark.parametrize("name", STYLES)
def test_a_thought_that_came_apart_is_put_together_with_the_marks_of_the_model(
    name: StyleName,
) -> None:
    whole = TextAnswer("2", "Hm", False, 7, 5, None)
    cut = TextAnswer("", "Hm", True, 7, 5, None)
    for answer, left in [(whole, "2"), (cut, None)]:
        split = split_thinking(answer.text(name), prompt_opened_think=False, reasoning=name)
        assert (split.reasoning.strip(), split.answer and split.answer.strip()) == ("Hm", left)
    assert whole.thought_tokens(name, opened=False) is None, "the server counted none"
    assert cut.thought_tokens(name, opened=False) == 5


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_in_a_field_of_its_own_is_put_before_the_answer(
    played: FaultServer, field: str
) -> None:
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}
    played.answers = [chats({field: "One "}, {field: "and one."}, {"content": "2"}, usage=usage)]
    (got,) = answers(played.url)
    assert got.text == "<think>\nOne and one.\n</think>\n\n2"
    assert (got.prompt_tokens, got.completion_tokens, got.reasoning_tokens) == (7, 5, 3)
    assert got.finish_reason == "stop"
    assert (
        known(got.queued_s)
        <= known(got.started_s)
        <= known(got.first_token_s)
        <= known(got.finished_s)
    )


@pytest.mark.parametrize(
    ("chunks", "finish", "gaps"),
    [
        (5, "length", 4),
        (4, "stop", 3),  # the token that ends it has no text
        (4, "length", None),  # two came together
        (2, "stop", None),
    ],
)
def test_gaps_are_known_where_each_token_comes_alone(
    played: FaultServer, chunks: int, finish: str, gaps: int | None
) -> None:
    played.answers = [chats(*[{"content": "a"}] * chunks, finish=finish)]
    (got,) = answers(played.url)
    assert (None if got.token_gaps is None else sum(got.token_gaps.values())) == gaps
    assert known(got.queued_s) <= known(got.sent_s) <= known(got.first_token_s)


@pytest.mark.parametrize(
    ("told", "kept"), [({"cached_tokens": 3}, 3), ({"cached_tokens": 8}, None), (None, None)]
)
def test_cached_prompt_tokens_are_those_that_the_server_tells(
    played: FaultServer, told: dict[str, int] | None, kept: int | None
) -> None:
    """More than the prompt has cannot be."""
    played.answers = [chats({"content": "2"}, usage={**USAGE, "prompt_tokens_details": told})]
    (got,) = answers(played.url)
    assert got.cached_prompt_tokens == kept


@pytest.mark.parametrize(
    ("deltas", "finish", "reasoning_tokens", "text", "counted"),
    [
        ([{"content": "2"}], "stop", None, "2", 0),
        ([{"content": "2"}], "stop", 4, "<think>\n\n</think>\n\n2", 4),
        ([{"reasoning": "Hm"}], "length", 5, "<think>\nHm", 5),
        ([{"reasoning": "Hm"}], "length", None, "<think>\nHm", 5),
        ([], "length", 5, "<think>\n", 5),
        ([{"content": "<think>Hm</think>2"}], "stop", 0, "<think>Hm</think>2", None),
        ([{"content": "<think>Hm"}], "length", 0, "<think>Hm", 5),
    ],
)
def test_a_thought_is_marked_however_the_server_tells_it(
    played: FaultServer,
    deltas: list[dict[str, str]],
    finish: str,
    reasoning_tokens: int | None,
    text: str,
    counted: int | None,
) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": reasoning_tokens}}
    played.answers = [chats(*deltas, finish=finish, usage=USAGE | details)]
    (got,) = answers(played.url)
    assert (got.text, got.finish_reason, got.reasoning_tokens) == (text, finish, counted)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (chats({"content": "2"}, finish="content_filter"), "content_filter"),
        (chats({"content": "2"}, finish=None, usage=None), "finish reason"),
        (refuses(400, "too long"), "HTTP 400: too long"),
        (lambda handler: handler.stream({"error": {"message": "broke"}}), "broke"),
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(
    played: FaultServer, answer: Role, words: str
) -> None:
    played.answers = [answer]
    (got,) = answers(played.url)
    assert (got.finish_reason, got.text, got.completion_tokens) == ("error", "", 0)
    assert words in known(got.error)


def test_a_failure_costs_the_others_nothing(played: FaultServer) -> None:
    played.answers = [refuses(400, "bad"), chats({"content": "2"})]
    got = answers(played.url, count=4, concurrency=1)
    assert [each.finish_reason for each in got] == ["error", "stop", "stop", "stop"]


def test_no_more_requests_than_allowed_are_under_way(played: FaultServer) -> None:
    lock, now, most = threading.Lock(), [0], [0]
    three = threading.Barrier(3)

    def slowly(handler: Handler) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        three.wait(60)  # breaks, and so fails the request, where fewer are sent
        time.sleep(0.1)  # for any more to come
        with lock:
            now[0] -= 1
        chats({"content": "2"})(handler)

    played.answers = [slowly]
    got = answers(played.url, count=9, concurrency=3)
    assert [each.finish_reason for each in got] == ["stop"] * 9
    assert most[0] == 3


# --- bad days -----------------------------------------------------------------------------------


def test_a_silent_server_is_given_up(played: FaultServer) -> None:
    released = threading.Event()
    played.answers = [hangs(released)]
    (got,) = answers(played.url, max_retries=0, silence_limit_s=0.3)
    released.set()
    assert got.finish_reason == "error"
    assert got.error


def test_a_server_that_vanishes_ends_the_run(played: FaultServer) -> None:
    def vanish(handler: Handler) -> None:
        handler.server.socket.close()
        handler.connection.close()

    played.answers = [chats({"content": "2"}), vanish]
    with pytest.raises(GenerationError, match=rf"^engine\.base_url={played.url}: "):
        answers(played.url, count=3, concurrency=1, max_retries=0)


def test_a_server_that_is_not_there_is_said_at_once(played: FaultServer) -> None:
    url = played.url
    played.socket.close()
    began = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        answers(url)
    assert str(caught.value).startswith(f"engine.base_url={url}: ")
    assert "/v1" in str(caught.value).removeprefix(f"engine.base_url={url}: ")
    assert time.monotonic() - began < 30


def test_a_wrong_path_is_said(played: FaultServer) -> None:
    with pytest.raises(UnavailableError, match=r"^engine\.base_url=.*models.* /v1"):
        answers(played.url.removesuffix("/v1"))


def test_a_refused_key_is_said_and_not_shown(
    played: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYED_KEY", "sk-wrong")
    with pytest.raises(UnavailableError) as caught:
        answers(played.url)
    assert mentions(
        str(caught.value),
        f"engine.base_url={played.url}: ",
        "(HTTP 401: wrong key Bearer ***); engine.api_key_env=PLAYED_KEY",
    )


def test_a_key_that_is_not_set_is_said(played: FaultServer) -> None:
    with pytest.raises(ConfigError, match=r"^engine\.api_key_env=NO_SUCH_KEY: .*\bset\b"):
        answers(played.url, api_key_env="NO_SUCH_KEY")


def test_a_model_that_is_not_served_is_said(played: FaultServer) -> None:
    played.models = [{"id": f"m{number}"} for number in range(7)]
    expected = r"^engine\.served_model=other: .* serves m0, m1, m2, m3, m4 and 2 more; name one"
    with pytest.raises(UnavailableError, match=expected):
        answers(played.url, served_model="other")
    with pytest.raises(UnavailableError, match=r"^engine\.served_model=None: "):
        answers(played.url)
    played.answers = [chats({"content": "2"})]
    assert len(answers(played.url, served_model="m3")) == 1
    assert played.asked[0]["model"] == "m3"


def test_a_context_that_is_too_short_is_said(played: FaultServer) -> None:
    played.models = [{"id": "hosted", "owned_by": "vllm", "max_model_len": 500}]
    with pytest.raises(UnavailableError, match=r"500 tokens, .*999"):
        answers(played.url)


# --- what is known of it ------------------------------------------------------------------------


def test_what_a_stranger_runs_on_is_unknown(played: FaultServer) -> None:
    knobs = config(played.url)
    with build_engine(knobs, HOSTED, Codec.load(HOSTED), time.monotonic, 9) as engine:
        info = engine.info()
    assert (info.device, info.device_name, info.version) == ("remote", "unknown", "unknown")
    assert (info.weights_sha256, info.peak_memory_bytes, info.load_s) == (None, None, None)
    assert info.serving is None


@pytest.mark.parametrize(
    "knobs",
    [
        {"base_url": "127.0.0.1:8000/v1"},
        {"base_url": "ftp://127.0.0.1/v1"},
        {"base_url": f"http://me:{KEY}@127.0.0.1/v1"},
        {"base_url": f"http://127.0.0.1/v1?key={KEY}"},
        {"base_url": "http://127.0.0.1/v1", "extra_body": {"temperature": 0}},
        {"base_url": "http://127.0.0.1/v1", "api_key": KEY},
    ],
)
def test_what_must_not_be_configured_is_refused(knobs: dict[str, str | object]) -> None:
    with pytest.raises(ValidationError):
        OpenaiConfig(kind="openai", **knobs)


def test_a_run_from_end_to_end_keeps_the_key_to_itself(played: FaultServer, tmp_path: Path) -> None:
    played.answers = [
        refuses(400, f"who uses {KEY}?"),
        refuses(400, f"who uses {KEY}?"),
        chats({"reasoning": "Hm."}, {"content": "It is \\boxed{2}."}),
    ]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "engine=openai", f"engine.base_url={played.url}",
         "engine.mode=chat", "engine.api_key_env=PLAYED_KEY", "engine.concurrency=1",
         "model=remote", "model.name=hosted", "tasks=[math_mini:3]", "protocol=greedy",
         "pricing=api_deepseek_r1", "limits.max_error_fraction=1", f"results_dir={tmp_path}"],
        capture_output=True, text=True, check=False, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result["manifest"]["sessions"][0]["engine"]["device"] == "remote"
    assert any(each["metric"] == "cost.api" and each["value"] for each in result["estimates"])
    for text in (done.stdout, done.stderr, *(f.read_text("utf-8") for f in folder.iterdir())):
        assert KEY not in text
