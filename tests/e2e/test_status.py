"""``harness status`` beside real runs."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.conftest import GOLDEN, Harness, Hold, last_line, stop, tiny_run


def looked(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    found: dict[Any, Any] | list[Any] = json.loads(done.stdout)
    return found


def test_a_run_is_seen_alive_then_dead_then_complete_and_is_not_disturbed(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    command = tiny_run(tiny_model)
    process, _ = hold(tmp_path, "completions.jsonl:3", *command)
    (state,) = looked(harness("status", "--json"))
    assert state["process"] == process.pid
    assert (state["state"], state["done"], state["requests"]) == ("generating", 3, 12)
    stop(process, signal.SIGKILL)
    folder = state["folder"]
    state = looked(harness("status", folder, "--follow", "--json"))
    assert (state["state"], state["process"]) == ("dead", None)
    assert "resume=" in harness("status", folder).stdout

    done = harness("run", f"resume={Path(folder).name}")
    assert done.returncode == 0, done.stderr
    figures = last_line(done)
    state = looked(harness("status", folder, "--json"))
    assert (state["state"], state["done"], state["graded"]) == ("complete", 12, 12)
    assert state["machine_s"] > 0
    assert Path(figures["path"]).name == state["run_id"]


def test_what_is_no_run_or_no_number_is_one_line(harness: Harness, tmp_path: Path) -> None:
    for arguments in (("nothing",), ("--top", "0"), ("--every", "0")):
        done = harness("status", *arguments)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
    assert harness("status").returncode == 0


def test_a_folder_of_runs_is_a_table_and_a_damaged_one_is_named(
    harness: Harness, tmp_path: Path
) -> None:
    broken = tmp_path / "runs" / "broken"
    broken.mkdir(parents=True)
    (broken / "manifest.json").write_text("{", encoding="utf-8")
    (tmp_path / "runs" / "whole").symlink_to(GOLDEN)
    done = harness("status")
    assert done.returncode == 0
    assert "40/40" in done.stdout
    assert "broken" in done.stderr
