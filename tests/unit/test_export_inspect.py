"""Inspect: its own reader takes the logs, and finds in them what the run has."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import StoreError
from harness.interop.export import write_inspect
from harness.records import Turn
from harness.store.result import RunResult, load
from tests import peers
from tests.facts import known, mentions
from tests.unit.export_runs import finished
from tests.unit.leaderboard_results import BASELINES

READER = Path(__file__).resolve().parent / "read_inspect_logs.py"
UNKNOWN = dict.fromkeys(("completion_tokens", "reasoning_tokens", "started_s", "first_token_s"))
FIRST = "aime24/made-up/1#0"
UNGRADED = "humaneval/made-up/1#1"
MARKS = {"correct": "C", "incorrect": "I", "truncated": "I", "no_answer": "N"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run with every verdict; of one answer little is known, one could not be graded."""
    folder = tmp_path_factory.mktemp("runs") / "r1_style"
    return finished(
        folder,
        completions={FIRST: UNKNOWN},
        verdicts={UNGRADED: {"status": "scorer_error", "detail": "the sandbox is gone"}},
    )


@pytest.fixture(scope="module")
def folder(run: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    write_inspect(run, folder)
    return folder


def members(file: Path) -> dict[str, Any]:
    with zipfile.ZipFile(file) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def samples_of(file: Path) -> list[dict[str, Any]]:
    return [each for name, each in members(file).items() if name.startswith("samples/")]


@pytest.fixture(scope="module")
def read(peer: Callable[[str], peers.Peer], folder: Path) -> dict[str, Any]:
    """What Inspect reads; the last file is one of ours without a key that it needs."""
    first = min(folder.glob("*.eval"))
    spoilt = folder / "spoilt.eval"
    with zipfile.ZipFile(spoilt, "w") as archive:
        for name, content in members(first).items():
            if name == "header.json":
                del content["eval"]["model"]
            archive.writestr(name, json.dumps(content))
    found: dict[str, Any] = json.loads(peer("inspect").run(READER, folder).stdout)
    spoilt.unlink()
    return found


@pytest.mark.index
def test_inspect_reads_each_task_and_refuses_a_log_without_a_model(
    read: dict[str, Any], run: RunResult
) -> None:
    assert "model" in read.pop("spoilt.eval")["refused"]
    logs = {each["log"]["eval"]["task"]: each["log"] for each in read.values()}
    assert logs.keys() == {"aime24", "humaneval"}
    for task, log in logs.items():
        assert log["status"] == "success"
        assert log["eval"]["model"] == "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
        assert log["eval"]["config"]["epochs"] == 4
        assert log["eval"]["metadata"]["gegenprobe"]["protocol_fields"] == {
            task: run.manifest.protocol_fields[task]
        }
        assert log["plan"]["config"]["max_tokens"] == 512
        metrics = log["results"]["scores"][0]["metrics"]
        assert metrics["accuracy"]["value"] == run.estimate("accuracy", task).value
        assert metrics["stderr"]["value"] == run.estimate("accuracy_se.new_problems", task).value
        outcomes = run.outcomes_of(task)
        assert log["results"]["total_samples"] == len(outcomes)
        assert log["results"]["completed_samples"] == len(outcomes) - 1
    # one answer's tokens are unknown, so the sum is
    assert logs["aime24"]["stats"]["model_usage"] == {}
    assert logs["humaneval"]["stats"]["model_usage"]


@pytest.mark.index
def test_inspect_finds_every_sample_with_text_verdict_tokens_and_time(
    read: dict[str, Any], run: RunResult
) -> None:
    found = {}
    for each in read.values():
        if "log" in each:
            for sample in each["log"]["samples"]:
                found[f"{sample['id']}#{sample['epoch'] - 1}"] = sample
    samples = list(run.samples())
    assert found.keys() == {each.completion.request_id for each in samples}
    for each in samples:
        theirs, ours = found[each.completion.request_id], each.completion
        output = theirs["output"]
        assert output["completion"] == ours.text
        assert theirs["metadata"]["status"] == each.verdict.status
        if each.verdict.is_failure:
            assert mentions(theirs["error"]["message"], each.verdict.status)
            assert theirs["scores"] == {}
        else:
            (score,) = theirs["scores"].values()
            assert score["value"] == MARKS[each.verdict.status]
            assert score.get("answer") == each.verdict.extracted
            assert "error" not in theirs
        is_cut = ours.finish_reason == "length"
        assert ("limit" in theirs) == is_cut
        if not ours.is_failure:
            assert output["choices"][0]["stop_reason"] == ("max_tokens" if is_cut else "stop")
            assert theirs["messages"][-1]["content"] == ours.text
            assert [message["role"] for message in theirs["messages"]] == ["user", "assistant"]
        events = [event["event"] for event in theirs["events"]]
        last = "error" if each.verdict.is_failure else "score"
        assert events == ([] if ours.request_id == FIRST else ["model", last])
        if events and not ours.is_failure:
            call = theirs["events"][0]
            assert call["output"]["choices"][0]["message"]["content"] == ours.text
            assert call["input"][0]["content"] == theirs["messages"][0]["content"]
        if ours.request_id == FIRST:
            assert "usage" not in output
            assert theirs.keys().isdisjoint({"total_time", "started_at"})
        elif not ours.is_failure:
            usage = output["usage"]
            cached = usage["input_tokens_cache_read"]
            assert usage["output_tokens"] == ours.completion_tokens
            assert usage["input_tokens"] + cached == ours.prompt_tokens
            assert theirs["total_time"] == pytest.approx(
                known(ours.finished_s) - known(ours.started_s)
            )


@pytest.mark.index
def test_inspects_list_of_samples_shows_errors_and_what_was_cut_off(
    read: dict[str, Any], run: RunResult
) -> None:
    listed = {}
    for each in read.values():
        if "log" in each:
            for line in each["summaries"]:
                listed[f"{line['id']}#{line['epoch'] - 1}"] = line
    for each in run.samples():
        line = listed[each.completion.request_id]
        assert line["completed"]
        assert ("error" in line) == each.verdict.is_failure
        assert (line.get("limit") == "token") == (each.completion.finish_reason == "length")


# --- without Inspect ----------------------------------------------------------------------------


def test_what_was_said_before_the_question_is_there(tmp_path: Path) -> None:
    finished(tmp_path / "run")
    file = tmp_path / "run" / "prompts.jsonl"
    turns = [Turn(role="system", content="Be brief."), Turn(role="user", content="1+1?")]
    turns = [*turns, Turn(role="assistant", content="2")]
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    lines[0]["earlier_turns"] = [turn.model_dump() for turn in turns]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    logs = write_inspect(load(tmp_path / "run"), tmp_path)
    name = lines[0]["problem_id"]
    sample = next(each for log in logs for each in samples_of(log) if each["id"] == name)
    roles = ["system", "user", "assistant", "user"]
    assert [message["role"] for message in sample["input"]] == roles
    assert [message["role"] for message in sample["messages"]] == [*roles, "assistant"]


def test_a_secret_in_an_error_is_struck_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    verdict = {"status": "scorer_error", "detail": "x correct-horse-battery"}
    run = finished(tmp_path / "run", verdicts={UNGRADED: verdict})
    for log in write_inspect(run, tmp_path):
        for content in members(log).values():
            assert "correct-horse-battery" not in json.dumps(content)


def test_a_run_always_gives_the_same_log(run: RunResult, folder: Path, tmp_path: Path) -> None:
    for log in write_inspect(run, tmp_path):
        assert log.read_bytes() == (folder / log.name).read_bytes()


def test_the_command_names_its_files(
    run: RunResult,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "inspect", str(run.run.folder)]) == 0
    files = capsys.readouterr().out.split()
    assert sorted(files) == sorted(file.name for file in tmp_path.glob("*.eval"))
    assert len(files) == 2


def test_mistakes_are_one_line_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = str(BASELINES / "smollm2_135m_standard_vllm.json")
    run = finished(tmp_path / "run").run.folder
    (run / "prompts.jsonl").write_text("", encoding="utf-8")
    out = tmp_path / "out"
    for arguments, facts in (
        ([baseline], "result.json"),
        ([str(run)], "prompts.jsonl … aime24/made-up/1"),
        ([str(run), "--model-id", "a/b"], "--model-id … inspect"),
    ):
        assert main(["export", "inspect", *arguments, "-o", str(out)]) == StoreError.exit_status
        err = capsys.readouterr().err
        assert mentions(err, facts)
        assert err.count("\n") == 1
        assert not list(out.glob("*"))
