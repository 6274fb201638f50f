"""Whole runs against a server with bad days: what they end with, and what they keep."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Harness
from tests.fault_server import FaultServer, chats, refuses, serving, unless

RIGHT = chats({"content": "It is \\boxed{2}."})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as running:
        running.answers = [RIGHT]
        yield running


def run_of(server: FaultServer, *overrides: str) -> list[str]:
    return ["run", "engine=openai", f"engine.base_url={server.url}", "engine.mode=chat",
            "engine.concurrency=1", "model=remote", "model.name=hosted", "protocol=greedy",
            "canary=false", *overrides]  # fmt: skip


def records(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text("utf-8").splitlines()]


def test_one_refused_prompt_is_one_error_with_its_reason(
    server: FaultServer, harness: Harness, tmp_path: Path
) -> None:
    server.answers = [
        unless(lambda _: len(server.asked) == 3, refuses(403, "moderated"), RIGHT),
    ]
    overrides = ["tasks=[math_mini:5]", "limits.max_error_fraction=1", "engine.omit=[seed,stream]"]
    done = harness(*run_of(server, *overrides))
    assert done.returncode == 0, done.stderr
    assert "1 x HTTP 403: moderated" in done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "result.json").read_text("utf-8"))
    (reason,) = result["failures"]
    assert (reason["status"], reason["requests"]) == ("generation_error", 1)
    assert reason["reason"].startswith("HTTP 403: moderated")
    completions = records(folder, "completions.jsonl")
    assert [each["finish_reason"] for each in completions] == ["stop"] * 4 + ["error"]
    assert all((each["retries"], each["prompt_tokens"]) == (0, 7) for each in completions[:4])
    fields = result["manifest"]["protocol_fields"]["math_mini"]
    assert fields["omitted"] == ["seed"], "how an answer is sent is no part of the protocol"


def test_a_run_of_which_most_requests_fail_stops_and_can_be_resumed(
    server: FaultServer, harness: Harness, tmp_path: Path
) -> None:
    server.answers = [*[RIGHT] * 5, refuses(400, "no")]
    done = harness(*run_of(server, "tasks=[math_mini]", "limits.max_error_fraction=0"))
    assert done.returncode == 4, done.stderr
    assert "limits.stop_at_error_fraction=0.5" in done.stderr
    assert "resume=" in done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["status"] == "failed"
    assert len(records(folder, "completions.jsonl")) == 5
    server.answers = [RIGHT]
    done = harness("run", f"resume={folder}")
    assert done.returncode == 0, done.stderr
    assert len(records(folder, "completions.jsonl")) == 70
    assert json.loads((folder / "result.json").read_text("utf-8"))["failures"] == []


def test_a_server_that_tells_no_counts_gives_a_result_without_them(
    server: FaultServer, harness: Harness, tmp_path: Path
) -> None:
    """Unknown in the result, in the report and in a comparison; never 0."""
    server.answers = [chats({"content": "It is \\boxed{2}."}, usage=None)]
    done = harness(*run_of(server, "tasks=[math_mini:5]", "pricing=api_deepseek_r1"))
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert {each["completion_tokens"] for each in result["outcomes"]} == {None}
    figures = {each["metric"]: each for each in result["estimates"] if each["task"] is None}
    for name in ("completion_tokens.total", "prompt_tokens.total", "output_tokens_per_s",
                 "output_tokens_per_s.steady_state", "cost.api"):  # fmt: skip
        assert figures[name]["value"] is None, name
        assert figures[name]["undefined"], name
    assert figures["generation_s"]["value"] > 0
    assert result["budget_curve"] == []
    for command in (["report", str(folder)], ["compare", str(folder), str(folder)]):
        done = harness(*command)
        assert done.returncode == 0, done.stderr
