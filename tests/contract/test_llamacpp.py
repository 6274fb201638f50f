"""A server that the harness did not write: llama.cpp's, behind ``llama-cpp-python[server]``.

It is in no environment of the project, because it is built from source. ``LLAMACPP_PYTHON`` names
an interpreter that has it, ``LLAMACPP_MODEL`` the GGUF file of SmolLM2-135M-Instruct. It cuts a
stream off when another request comes, so one is sent at a time.
"""

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.engines.openai_engine import OpenaiConfig, OpenaiEngine
from harness.errors import UnavailableError
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, GenerationRequest, MathReference, Problem, Sampling
from tests.facts import known

PYTHON, MODEL = os.environ.get("LLAMACPP_PYTHON"), os.environ.get("LLAMACPP_MODEL")
CONTEXT = 512
START_LIMIT_S = 300

pytestmark = [
    pytest.mark.llamacpp,
    pytest.mark.skipif(not PYTHON or not MODEL, reason="needs LLAMACPP_PYTHON and LLAMACPP_MODEL"),
]
QUESTIONS = (
    "What is the capital of France?",
    "Name three colours.",
    "What is 2 + 3?",
    "Who wrote Hamlet?",
    "What is water made of?",
    "What is the opposite of hot?",
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the real model."""
    assert PYTHON is not None
    assert MODEL is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("llamacpp") / "server.log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [PYTHON, "-m", "llama_cpp.server", "--model", MODEL, "--port", str(port),
             "--n_ctx", str(CONTEXT), "--n_threads", "1", "--model_alias", "smollm2"],
            stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    root = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            assert server.poll() is None, log.read_text("utf-8", "replace")[-2000:]
            assert time.monotonic() < deadline, "it did not start"
            try:
                urllib.request.urlopen(f"{root}/v1/models", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"{root}/v1"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def smollm2_codec(smollm2: ResolvedModel) -> Codec:
    return Codec.load(smollm2)


def asked(codec: Codec, questions: Sequence[str], **sampling: Any) -> list[GenerationRequest]:
    drawn = {"temperature": 0.0, "top_p": 1.0, "top_k": None, "max_new_tokens": 24, **sampling}
    requests = []
    for number, question in enumerate(questions):
        problem = Problem(
            problem_id=f"q/{number}", question=question, reference=MathReference(answer="")
        )
        prompt = codec.prompt(problem, "{question}", chat=True, force_think=False)
        requests.append(
            GenerationRequest(
                request_id=f"q/{number}#0",
                problem_id=problem.problem_id,
                prompt_token_ids=prompt.token_ids,
                prompt_opened_think=prompt.opened_think,
                prompt_text=prompt.text,
                user_text=prompt.user_text,
                sampling=Sampling(**drawn),
                seed=number,
            )
        )
    return requests


def answers(
    url: str, model: ResolvedModel, codec: Codec, requests: list[GenerationRequest], **knobs: Any
) -> list[Completion]:
    config = OpenaiConfig(kind="openai", base_url=url, concurrency=1, max_retries=0, **knobs)
    engine = OpenaiEngine(config, model, codec, time.monotonic, CONTEXT)
    with engine:
        found = {each.request_id: each for each in engine.generate(requests)}
    return [found[request.request_id] for request in requests]


@pytest.mark.parametrize("omit", [(), ("stream",), ("seed", "stream_options")])
@pytest.mark.parametrize("mode", ["chat", "text"])
def test_it_answers(
    url: str, smollm2: ResolvedModel, smollm2_codec: Codec, mode: str, omit: tuple[str, ...]
) -> None:
    requests = asked(smollm2_codec, QUESTIONS[:2])
    got = answers(url, smollm2, smollm2_codec, requests, mode=mode, omit=omit)
    assert [each.error for each in got] == [None, None]
    assert all(each.finish_reason in {"stop", "length"} and each.text.strip() for each in got)
    for each in got:
        assert each.completion_tokens is None or 1 <= each.completion_tokens <= 24
        assert known(each.queued_s) <= known(each.sent_s) <= known(each.finished_s)
        assert (each.first_token_s is None) == ("stream" in omit)
        assert each.retries == 0


def test_the_budget_cuts_an_answer_and_says_so(
    url: str, smollm2: ResolvedModel, smollm2_codec: Codec
) -> None:
    requests = asked(smollm2_codec, QUESTIONS[:2], max_new_tokens=3)
    for mode in ("chat", "text"):
        got = answers(url, smollm2, smollm2_codec, requests, mode=mode)
        assert [each.finish_reason for each in got] == ["length", "length"]


def test_both_modes_give_the_model_the_same_prompt(
    url: str, smollm2: ResolvedModel, smollm2_codec: Codec
) -> None:
    """The counts of an answer in one piece: the server's template is the model's own."""
    requests = asked(smollm2_codec, QUESTIONS[:1])
    (text,) = answers(url, smollm2, smollm2_codec, requests, mode="text", omit=["stream"])
    assert text.prompt_tokens == len(requests[0].prompt_token_ids)
    assert text.completion_tokens is not None


def test_a_prompt_that_is_too_long_is_its_own_error(
    url: str, smollm2: ResolvedModel, smollm2_codec: Codec
) -> None:
    requests = asked(smollm2_codec, [QUESTIONS[0], "word " * 3 * CONTEXT, QUESTIONS[1]])
    for mode in ("chat", "text"):
        # to the server with it: it is to refuse it, and not the harness
        config = OpenaiConfig(kind="openai", base_url=url, concurrency=1, max_retries=0, mode=mode)
        engine = OpenaiEngine(config, smollm2, smollm2_codec, time.monotonic, 100_000)
        with engine:
            got = {each.request_id: each for each in engine.generate(requests)}
        ends = [got[request.request_id].finish_reason for request in requests]
        assert ends[1] == "error"
        assert "error" not in {ends[0], ends[2]}


def test_token_ids_are_refused_with_the_mode_to_use(
    url: str, smollm2: ResolvedModel, smollm2_codec: Codec
) -> None:
    requests = asked(smollm2_codec, QUESTIONS)
    with pytest.raises(UnavailableError, match=r"engine\.mode=text"):
        answers(url, smollm2, smollm2_codec, requests, mode="tokens")


def test_a_whole_run(url: str, tmp_path: Path) -> None:
    import json
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "harness", "run", "engine=openai", f"engine.base_url={url}",
         "engine.mode=chat", "model=remote", "model.name=smollm2", "protocol=greedy",
         "engine.concurrency=1", "tasks=[math_mini:3]", "protocol.max_new_tokens=24",
         "canary=false", "limits.max_truncated_fraction=1", f"results_dir={tmp_path}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result["failures"] == []
    assert all(each["finish_reason"] != "error" for each in result["outcomes"])
