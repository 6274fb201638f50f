"""One run over two processes, a sweep over several, and what becomes of them when one is killed."""

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.conftest import (
    GOLDEN,
    LONGEST_S,
    Harness,
    Hold,
    answers,
    last_line,
    manifest,
    records,
    stop,
)
from tests.facts import mentions

REPLAY = ["run", "experiment=demo", "engine=replay", f"engine.run={GOLDEN}"]


def runs(results: Path) -> list[Path]:
    return sorted(file.parent for file in results.glob("runs/*/manifest.json"))


def said(folder: Path) -> dict[str, tuple[str, str | None]]:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {each["request_id"]: (each["status"], each["extracted"]) for each in result["outcomes"]}


def test_a_killed_shard_is_resumed_and_the_merged_run_is_the_one_that_was_never_cut(
    tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    """Shard 1 alone, killed at its first answer; then both at once with ``resume=auto``."""
    process, _ = hold(tmp_path, "completions.jsonl:1", *REPLAY, "shards=2", "shard=1")
    code, err = stop(process, signal.SIGKILL)
    assert code == -signal.SIGKILL, err
    (killed,) = runs(tmp_path)
    kept = {each["request_id"] for each in whole_lines(killed / "completions.jsonl")}

    done = harness(*REPLAY, "shards=2", "resume=auto")
    assert done.returncode == 0, done.stderr
    folder = Path(last_line(done)["path"])
    assert len(done.stdout.splitlines()) == 1, "a shard has no line for programs"
    shards = [each for each in runs(tmp_path) if each != folder]
    assert killed in shards
    assert len(shards) == 2
    assert kept <= {each["request_id"] for each in records(killed, "completions")}
    assert sorted(manifest(each)["config"]["shard"] for each in shards) == [0, 1]
    assert not any((shard / "result.json").exists() for shard in shards)
    assert [len(records(shard, "completions")) for shard in shards] == [20, 20]
    assert set(manifest(folder)["merged_from"]) == {shard.name for shard in shards}

    assert answers(folder) == answers(GOLDEN)
    expected = {each["request_id"]: each["status"] for each in records(GOLDEN, "verdicts")}
    assert {name: status for name, (status, _) in said(folder).items()} == expected
    for each in (folder, *shards):
        valid = harness("validate", each.name)
        assert valid.returncode == 0, valid.stderr
    refused = harness("compare", str(folder), str(shards[0]))
    assert refused.returncode == 2
    assert "harness merge" in refused.stderr


def whole_lines(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_a_worker_that_is_killed_stops_no_other_and_the_words_say_how_to_go_on(
    tmp_path: Path, hold: Hold
) -> None:
    process, victim = hold(tmp_path, "completions.jsonl:1", *REPLAY, "shards=2")
    assert victim.pid != process.pid
    victim.kill()
    _, err = process.communicate()
    assert process.returncode == 1, err
    *_, lost, how = err.splitlines()
    found = re.match(r"harness: shard (\d) of 2: ended by SIGKILL", lost)
    assert found is not None, err
    assert mentions(how, "harness: 1 of 2 shards", "resume=auto")
    ended = {shard(each): manifest(each)["status"] for each in runs(tmp_path)}
    killed = int(found[1])
    assert ended == {killed: "running", 1 - killed: "complete"}


def shard(folder: Path) -> int | None:
    shown: int | None = manifest(folder)["config"]["shard"]
    return shown


SWEEP = ["run", "-m", *REPLAY[1:], "tasks=[humaneval:20],[math_mini:20]"]


def test_a_job_of_a_sweep_that_is_killed_does_not_stop_the_next(tmp_path: Path, hold: Hold) -> None:
    process, job = hold(tmp_path, "completions.jsonl:1", *SWEEP)
    job.kill()
    out, err = process.communicate()
    assert process.returncode == 1, err
    assert mentions(err, "harness: job 1: ", "SIGKILL")
    killed, done = sorted(runs(tmp_path), key=lambda each: manifest(each)["status"] == "complete")
    assert json.loads(out.splitlines()[-1])["path"] == str(done)
    table = err[err.rindex("job  overrides") :].splitlines()
    assert [line.split()[0] for line in table[:3]] == ["job", "1", "2"]
    assert table[1].split()[1:] == ["tasks=[humaneval\\:20]", "1", "running", killed.name]
    assert table[2].split()[1:] == [
        "tasks=[math_mini\\:20]",
        "0",
        "math_mini",
        "0.0",
        "%",
        done.name,
    ]


def test_a_sweep_that_is_stopped_leaves_nothing_alive_and_begins_no_other_job(
    tmp_path: Path, hold: Hold
) -> None:
    process, job = hold(tmp_path, "completions.jsonl:1", *SWEEP)
    process.send_signal(signal.SIGTERM)
    job.resume()  # it has its own SIGTERM by now, or goes on until it comes
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == "harness: stopped by SIGTERM"
    assert "job 2:" not in err
    assert not job.is_running()


def test_a_job_ends_when_the_sweep_is_killed(tmp_path: Path, hold: Hold) -> None:
    """It gets SIGTERM from the guardian, and stops as at Ctrl-C."""
    process, job = hold(tmp_path, "completions.jsonl:1", *SWEEP)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until_pending(job, signal.SIGTERM)
    job.resume()
    process.communicate()
    job.wait(LONGEST_S)
    assert not job.is_running()
    (folder,) = runs(tmp_path)
    assert manifest(folder)["status"] == "interrupted", "it went on, or did not end in order"


def wait_until_pending(process: psutil.Process, number: int) -> None:
    """Waits until a process that is stopped has been sent a signal."""
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        (pending,) = re.findall(r"^ShdPnd:\s*(\w+)$", status, re.MULTILINE)
        if int(pending, 16) >> (number - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError(f"never sent signal {number}")


def test_merge_names_what_is_missing(tmp_path: Path, harness: Harness) -> None:
    done = harness(*REPLAY, "shards=20", "shard=1", "tasks=[math_mini:20]")
    assert done.returncode == 0, done.stderr
    facts = last_line(done)
    assert (facts["shard"], facts["shards"], facts["requests"]) == (1, 20, 1)
    assert mentions(done.stderr, "harness: shard 1 of 20 ", "1 of 20 requests", "harness merge")
    scored = harness("score", facts["run_id"])
    assert scored.returncode == 0, scored.stderr
    alone = harness("merge", facts["path"])
    assert alone.returncode == 2
    assert alone.stderr.startswith("harness: shards 0, 2, 3, 4, ")
    assert mentions(alone.stderr, ", 19 of 20 ")


def test_more_shards_than_requests_is_one_line(harness: Harness) -> None:
    done = harness(*REPLAY, "shards=41", "shard=40")
    assert done.returncode == 2
    assert mentions(done.stderr.splitlines()[-1], "harness: shards=41: ", "40 requests")
