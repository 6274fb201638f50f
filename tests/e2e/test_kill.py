"""Twenty kills in a row: the run that comes out is the one that nothing happened to."""

import contextlib
import json
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import GOLDEN, Harness, Hold, last_line, manifest, records, start, stop

KILLS = 20
REQUESTS = 40
REPLAY = ["run", "experiment=demo", "engine=replay", f"engine.run={GOLDEN}"]
LINES = "completions.jsonl,verdicts.jsonl"
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
        self.hits = 0
        """Kills in the midst of writing."""
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

    @property
    def command(self) -> list[str]:
        """As a user goes on: by the run's name, or from the start where it has none yet."""
        folder = self.folder
        return ["run", f"resume={folder.name}"] if folder else REPLAY

    def kill_when(self, come: Callable[[], bool]) -> None:
        """Starts it, and kills it as soon as a condition holds, unless it was done before."""
        process = start(self.results, *self.command)
        deadline = time.monotonic() + LONGEST_S
        while process.poll() is None and not come():
            assert time.monotonic() < deadline
            time.sleep(0.0005)
        code, err = stop(process, signal.SIGKILL)
        assert code in {0, -signal.SIGKILL}, err
        self._check()

    def kill_after(self, hold: Hold, place: str, amount: int = 1) -> None:
        """Starts it, and kills it when it has written so much, or what there was left to write."""
        if self.is_complete:  # one that was to be killed in its last moments had ended before
            self.kill_when(after(amount / 10))
            return
        left = 2 * REQUESTS - self.lines
        if place == LINES:
            place, amount = (place, min(amount, left)) if left else ("result.json", 1)
        process, _ = hold(self.results, f"{place}:{amount}", *self.command)
        code, err = stop(process, signal.SIGKILL)
        assert code == -signal.SIGKILL, err
        self.hits += 1
        self._check()

    @property
    def is_complete(self) -> bool:
        """It has said so."""
        return self.folder is not None and manifest(self.folder)["status"] == "complete"

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


def all_graded_for(run: Killed, delay_s: float) -> Callable[[], bool]:
    ends: list[float] = []

    def come() -> bool:
        if not ends and run.lines == 2 * REQUESTS:
            ends.append(time.monotonic() + delay_s)
        return bool(ends) and time.monotonic() >= ends[0]

    return come


def test_twenty_kills_in_a_row_leave_no_trace(
    undisturbed: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    """While it starts, generates, grades and closes; the recording makes each start a quick one.

    By the clock a kill can fall between any two instructions, by the files' growth it falls where
    it is most to lose, however slow the machine is.
    """
    chance = random.Random(20)
    run = Killed(tmp_path)
    plan: list[tuple[str, float]] = [(LINES, chance.randint(1, 6)) for _ in range(12)]
    plan += [("clock", chance.uniform(0.05, 0.5)) for _ in range(3)]
    chance.shuffle(plan)
    plan += [("clock", chance.uniform(0.5, 2.0)) for _ in range(2)]
    plan += [("close", chance.uniform(0.0, 1.0)) for _ in range(2)]
    plan += [("result.json", 1)]
    assert len(plan) == KILLS
    for moment, amount in plan:
        match moment:
            case "clock":
                run.kill_when(after(amount))
            case "close":
                run.kill_when(all_graded_for(run, amount))
            case place:
                run.kill_after(hold, place, int(amount))
    assert run.hits >= 12, "most were not killed at their work"
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
    found = {each.get("request_id") or each["problem_id"]: each for each in lines}
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


def test_scorers_killed_in_the_middle_cost_no_verdict(
    undisturbed: Path, tmp_path: Path, hold: Hold
) -> None:
    """Every process that the harness started: wardens, what they run, and maths workers."""
    process, held = hold(tmp_path, "verdicts.jsonl:3", *REPLAY)
    workers = held.children(recursive=True)
    assert len(workers) >= 2
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    held.resume()
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert graded(Path(json.loads(out.splitlines()[-1])["path"])) == graded(undisturbed)
