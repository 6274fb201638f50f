"""Twenty kills in a row: the run that comes out is the one that nothing happened to."""

import contextlib
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import GOLDEN, last_line, manifest, records, start, stop

KILLS = 20
REQUESTS = 40
REPLAY = ["run", "experiment=demo", "engine=replay", f"engine.run={GOLDEN}"]
LONGEST_S = 120.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to."""
    process = start(tmp_path_factory.mktemp("undisturbed"), *REPLAY)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return Path(json.loads(out.splitlines()[-1])["path"])


class Killed:
    """One run that is killed, and resumed, and killed."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self.kept: dict[str, dict[str, Any]] = {}
        """Every completion that was ever seen whole on the disk."""

    @property
    def folder(self) -> Path | None:
        """Where the run lies, once it began."""
        found = sorted(self.results.glob("runs/*/manifest.json"))
        assert len(found) <= 1, "a second run was begun instead of going on with the first"
        return found[0].parent if found else None

    @property
    def lines(self) -> int:
        """Completions and verdicts on the disk together."""
        return sum(
            file.read_bytes().count(b"\n") for file in self.results.glob("runs/*/[cv]*s.jsonl")
        )

    def begin(self) -> subprocess.Popen[str]:
        """As a user goes on: by the run's name, or from the start where it has none yet."""
        folder = self.folder
        return start(self.results, *(["run", f"resume={folder.name}"] if folder else REPLAY))

    def kill_when(self, come: Callable[[], bool]) -> None:
        """Starts it, and kills it as soon as a condition holds."""
        process = self.begin()
        deadline = time.monotonic() + LONGEST_S
        while not come():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        code, err = stop(process, signal.SIGKILL)
        assert code == -signal.SIGKILL, err
        self._check()

    def _check(self) -> None:
        folder = self.folder
        if folder is None:
            return
        whole = whole_lines(folder / "completions.jsonl")
        now = {each["request_id"]: each for each in whole}
        assert len(now) == len(whole), "a request was recorded twice"
        assert self.kept.items() <= now.items(), "something recorded was lost or made again"
        self.kept = now


def whole_lines(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def after(delay_s: float) -> Callable[[], bool]:
    end = time.monotonic() + delay_s
    return lambda: time.monotonic() >= end


def test_twenty_kills_in_a_row_leave_no_trace(undisturbed, tmp_path, harness):
    """While it starts, generates, grades and closes; the recording makes each start a quick one."""
    chance = random.Random(20)
    run = Killed(tmp_path)
    while_starting = [chance.uniform(0.05, 2.0) for _ in range(5)]
    while_working = [chance.randint(1, 6) for _ in range(12)]
    while_closing = [chance.uniform(0.0, 1.0) for _ in range(2)]
    plan = [("start", each) for each in while_starting] + [("work", each) for each in while_working]
    chance.shuffle(plan)
    plan += [("close", each) for each in while_closing] + [("result", 0)]
    assert len(plan) == KILLS
    for moment, amount in plan:
        match moment:
            case "start":
                run.kill_when(after(amount))
            case "work":
                goal = min(run.lines + amount, 2 * REQUESTS)
                run.kill_when(lambda goal=goal: run.lines >= goal)
            case "close":
                ends: list[float] = []

                def late(ends: list[float] = ends, amount: float = amount) -> bool:
                    if not ends and run.lines == 2 * REQUESTS:
                        ends.append(time.monotonic() + amount)
                    return bool(ends) and time.monotonic() >= ends[0]

                run.kill_when(late)
            case "result":
                run.kill_when(lambda: bool(list(tmp_path.glob("runs/*/result.json"))))
    folder = run.folder
    assert folder is not None
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 0, done.stderr
    assert last_line(done)["run_id"] == folder.name
    run._check()
    assert len(run.kept) == REQUESTS
    for name in ("problems", "prompts", "completions"):
        assert by_id(folder, name) == by_id(undisturbed, name)
    assert graded(folder) == graded(undisturbed)
    assert told(folder) == told(undisturbed)
    assert manifest(folder)["status"] == "complete"
    assert harness("validate", folder.name).returncode == 0


def by_id(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    lines = records(folder, name)
    found = {each.get("request_id", each.get("problem_id")): each for each in lines}
    assert len(found) == len(lines)
    return found


def graded(folder: Path) -> dict[str, dict[str, Any]]:
    """The verdicts, without the time that it took to reach them."""
    return {
        key: {name: value for name, value in each.items() if name != "wall_s"}
        for key, each in by_id(folder, "verdicts").items()
    }


def told(folder: Path) -> tuple[Any, Any]:
    """What the result says: each outcome, and each figure with its interval."""
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    outcomes = {each["request_id"]: each for each in result["outcomes"]}
    figures = [each for each in result["estimates"] if each["metric"] != "load_s"]
    return outcomes, figures


def test_scorers_killed_in_the_middle_cost_no_verdict(undisturbed, tmp_path):
    """Every process that the harness started: wardens, what they run, and maths workers."""
    process = start(tmp_path, *REPLAY)
    while not list(tmp_path.glob("runs/*/completions.jsonl")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.0005)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert graded(Path(json.loads(out.splitlines()[-1])["path"])) == graded(undisturbed)
