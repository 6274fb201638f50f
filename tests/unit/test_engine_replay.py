"""A recording answers as it was recorded, or says what is wrong with it."""

import json
import time
from pathlib import Path

import pytest

from harness.engines.replay_engine import ReplayConfig, ReplayEngine
from harness.errors import ConfigError
from harness.models import ResolvedModel
from harness.records import Completion, GenerationRequest, Sampling
from tests.engines import made_up_engine
from tests.facts import known

MODEL = ResolvedModel(name="m", path="/nowhere", revision="r1", sha256="s1")


def request(number: int) -> GenerationRequest:
    return GenerationRequest(
        request_id=f"t/p{number}#0",
        problem_id=f"t/p{number}",
        prompt_token_ids=(1, 2, 3),
        prompt_opened_think=True,
        sampling=Sampling(temperature=0, top_p=1, top_k=None, max_new_tokens=9),
        seed=0,
    )


def completion(number: int) -> Completion:
    return Completion(
        request_id=f"t/p{number}#0",
        text=f"text {number}",
        finish_reason="stop",
        prompt_tokens=3,
        completion_tokens=7,
        reasoning_tokens=None,
        queued_s=1.0,
        started_s=2.0,
        first_token_s=3.0,
        finished_s=400.0 + number,
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    lines = [completion(number).model_dump_json() for number in range(4)]
    (tmp_path / "completions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def engine(path: Path) -> ReplayEngine:
    return ReplayEngine(ReplayConfig(kind="replay", run=str(path)), MODEL, time.monotonic)


@pytest.mark.parametrize("name", ["", "completions.jsonl"], ids=["folder", "file"])
def test_completions_come_back_unchanged(recording: Path, name: str) -> None:
    with engine(recording / name) as replay:
        assert list(replay.generate([request(2), request(0)])) == [completion(2), completion(0)]


def test_what_was_not_recorded_is_counted_and_named(recording: Path) -> None:
    wanted = [request(0), request(8), request(9)]
    with engine(recording) as replay, pytest.raises(ConfigError, match=r"2 of 3 .*t/p8#0"):
        next(replay.generate(wanted))


def test_a_missing_recording_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"engine\.run=.*/x"), engine(tmp_path / "x"):
        pass


def test_a_line_that_is_no_completion_is_named(recording: Path) -> None:
    file = recording / "completions.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[1] = json.dumps({"request_id": "t/p1#0"})
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 2 of completions\.jsonl"), engine(recording):
        pass


def test_the_engine_of_the_recording_is_told(recording: Path) -> None:
    recorded = made_up_engine(weights_sha256="def", load_s=30.0)
    manifest = {"sessions": [{"engine": recorded.model_dump(mode="json")}]}
    (recording / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with engine(recording) as replay:
        info = replay.info()
    assert (info.name, info.version) == ("replay", "recording of vllm 0.32.0")
    assert (info.device_name, info.weights_sha256) == ("NVIDIA H200", "def")
    assert known(info.load_s) < 30


def test_an_unknown_recording_claims_nothing(recording: Path) -> None:
    with engine(recording) as replay:
        info = replay.info()
    assert (info.name, info.device_name, info.peak_memory_bytes) == ("replay", "unknown", None)
    assert info.weights_revision == "r1"
