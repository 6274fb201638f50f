"""A week of nights: some good, one regressed, one crashed; nights that are killed or stopped.

What answers is a recording that is made up: SmolLM2's own, with every text replaced by a right or
a wrong answer. The runs are real ones, each in its process.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil
import pytest

from harness.analysis.nightly.history import History
from harness.analysis.nightly.record import Night
from harness.cli import main as cli
from harness.cli.nightly import REPORT, Underway
from harness.process.run_child import read_report
from tests.e2e.conftest import GOLDEN, records
from tests.e2e.pages import opened, plot_named, traces
from tests.facts import known, mentions

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONGEST_S = 120.0
MODEL = "smollm2_135m"
LABEL = f"{MODEL} (demo)"


def make_up(folder: Path, *, wrong: int) -> Path:
    """A made-up recording: the maths problems of the golden run, all but some answered rightly."""
    shutil.copytree(GOLDEN, folder)
    problems = {each["problem_id"]: each for each in records(GOLDEN, "problems")}
    maths = sorted(name for name in problems if name.startswith("math_mini/"))
    lines = []
    for completion in records(GOLDEN, "completions"):
        name = completion["request_id"].rpartition("#")[0]
        if name in maths:
            is_wrong = maths.index(name) < wrong
            answer = "\\text{none}" if is_wrong else problems[name]["reference"]["answer"]
            made_up = {"text": f"\\boxed{{{answer}}}", "finish_reason": "stop"}
            lines.append(json.dumps(completion | made_up | {"completion_tokens": 300}))
    (folder / "completions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    # The recording is older than machine time; without an end its cost would be a lower bound.
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    starts = [session["clock_start_s"] for session in manifest["sessions"][1:]]
    ends = [*starts, max(json.loads(line)["finished_s"] for line in lines)]
    for session, end_s in zip(manifest["sessions"], ends, strict=True):
        session |= {"clock_end_s": end_s, "is_end_known": True}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``good`` solves 18 of 20, ``bad`` 6; ``stuck`` hangs in the midst of its run."""
    folder = tmp_path_factory.mktemp("made_up_recordings")
    found = {
        "good": make_up(folder / "good", wrong=2),
        "bad": make_up(folder / "bad", wrong=14),
        "stuck": make_up(folder / "stuck", wrong=2),
    }
    (found["stuck"] / "completions.jsonl").unlink()
    os.mkfifo(found["stuck"] / "completions.jsonl")  # nobody ever writes into it
    return found


class Said(NamedTuple):
    """What a night ended with."""

    status: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


def arguments(results: Path, recording: Path, day: int, *more: str) -> list[str]:
    own = [] if any(each.startswith("model=") for each in more) else [f"model={MODEL}"]
    return [
        *("nightly", "--results-dir", str(results), "--date", f"2026-11-{day:02}"),
        *[each for each in more if each.startswith("--") or "=" not in each],
        *("experiment=demo", "engine=replay", f"engine.run={recording}", "tasks=[math_mini:20]"),
        *[each for each in more if not each.startswith("--") and "=" in each],
        *own,
    ]


def spend(results: Path, recording: Path, day: int, *more: str) -> Said:
    """A night in this process; its runs have processes of their own."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main(arguments(results, recording, day, *more))
    return Said(status, out.getvalue(), err.getvalue())


def wait_for(come: Callable[[], Any]) -> Any:
    """Waits until something is there, and returns it."""
    deadline = time.monotonic() + LONGEST_S
    while not (found := come()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def running(results: Path, day: int) -> psutil.Process | None:
    """The run of a night, once its folder is there."""
    folder = results / "nightly"
    try:
        underway = Underway.model_validate_json((folder / "underway.json").read_bytes())
    except FileNotFoundError:
        return None
    if underway.night.night.day != day or read_report(folder / REPORT).run is None:
        return None
    for process in psutil.process_iter(["cmdline", "environ"]):
        words, environment = process.info["cmdline"] or [], process.info["environ"] or {}
        if "--composed" in words and environment.get("TMPDIR") == underway.scratch:
            return process
    return None


def nights(results: Path) -> list[Night]:
    return History(results / "nightly" / "history.jsonl").read()


def is_gone(process: psutil.Process) -> bool:
    """Ended, even where nobody asks what became of it."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module", autouse=True)
def _own_scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Somebody else on this machine may be having a night, too."""
    folder = str(tmp_path_factory.mktemp("scratch"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


def scratch_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("gegenprobe-night-*"))


# --- the week ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def week(
    recordings: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, list[Said]]]:
    """Three good nights, a crashed one, a regressed one, one of two models, and a good one."""
    results = tmp_path_factory.mktemp("week")
    before = scratch_folders()
    said = [spend(results, recordings["good"], day) for day in (1, 2, 3)]
    killer = threading.Thread(target=lambda: wait_for(lambda: running(results, 4)).kill())
    killer.start()
    said.append(spend(results, recordings["stuck"], 4))
    killer.join()
    first = nights(results)[0].run_id
    said.append(spend(results, recordings["bad"], 5, f"--baseline={first}"))
    said.append(spend(results, recordings["good"], 6, "model=r1_distill_qwen_1_5b,smollm2_135m"))
    shutil.copytree(results / "runs" / str(first), results / "runs" / "a-users-run")
    said.append(spend(results, recordings["good"], 7, "--keep=2"))
    yield results, said
    assert scratch_folders() <= before


def test_a_week_ends_each_night_with_the_status_it_deserves(week: tuple[Path, list[Said]]) -> None:
    _, said = week
    assert [each.status for each in said] == [0, 0, 0, 4, 5, 4, 0]
    assert [each.summary["exit_status"] for each in said] == [0, 0, 0, 4, 5, 4, 0]
    last_words = [each.out.splitlines()[-3] for each in said]
    assert mentions(last_words[0], "exit status 0: ", "1 model")
    assert last_words[3] == f"exit status 4: {LABEL}: killed by SIGKILL"
    assert last_words[4].startswith(f"exit status 5: {LABEL}: math_mini accuracy 30.0 % against ")
    assert mentions(
        last_words[5],
        "exit status 4: r1_distill_qwen_1_5b (demo): ",
        "exit status 2: " + said[5].summary["jobs"][0]["reasons"][0].partition("status 2: ")[2],
    )
    assert mentions(last_words[5], "exit status 2: ", "model")


def test_a_regressed_night_is_told_from_its_baseline_and_from_the_nights_before(
    week: tuple[Path, list[Said]],
) -> None:
    results, said = week
    (job,) = said[4].summary["jobs"]
    found = {(each["figure"], each["against"].split()[0]): each for each in job["findings"]}
    for against in ("baseline", "middle"):
        finding = found["math_mini/accuracy", against]
        assert (finding["value"], finding["reference"]) == (0.3, 0.9)
        assert finding["is_regression"]
        assert finding["p"] < 0.01
    assert found["cost_per_solved.rented", "median"]["is_regression"]
    assert not found["output_tokens_per_s", "median"]["is_regression"], "no slower than before"
    assert found["output_tokens_per_s", "median"]["against"] == "median of 3 nights"
    assert len(job["reasons"]) == 3
    assert [night.is_regression for night in nights(results)] == [False] * 4 + [True] + [False] * 3


def test_the_history_has_every_night_and_a_crashed_one_has_no_figures(
    week: tuple[Path, list[Said]],
) -> None:
    results, _ = week
    found = nights(results)
    assert [(night.night.day, night.status) for night in found] == [
        *[(1, "done"), (2, "done"), (3, "done"), (4, "crashed"), (5, "done")],
        *[(6, "crashed"), (6, "done"), (7, "done")],
    ]
    assert [n.value("math_mini/accuracy") for n in found] == [
        *[0.9, 0.9, 0.9, None, 0.3, None, 0.9, 0.9]
    ]
    assert found[3].figures == ()
    assert found[3].exit_status == -signal.SIGKILL
    assert found[6].label == LABEL  # it was tried after the one that failed


def test_only_old_nights_lose_their_texts(week: tuple[Path, list[Said]]) -> None:
    results, _ = week
    runs = {
        night.night.day: results / "runs" / night.run_id
        for night in nights(results)
        if night.run_id
    }
    assert sorted(runs) == [1, 2, 3, 4, 5, 6, 7]
    for day in (1, 2, 3, 5):
        assert {file.name for file in runs[day].iterdir()} == {"result.json", "manifest.json"}
    assert not runs[4].exists()  # without a result
    for kept in (runs[6], runs[7], results / "runs" / "a-users-run"):
        assert (kept / "completions.jsonl").is_file()
    logs = sorted(file.name[:10] for file in (results / "nightly" / "logs").iterdir())
    assert logs == ["2026-11-06", "2026-11-06", "2026-11-07"]
    assert not list((results / "nightly").glob("underway*"))


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_the_week_shows_it(
    week: tuple[Path, list[Said]], browser: "Browser", width: int
) -> None:
    results, _ = week
    with opened(browser, results / "nightly" / "index.html", width) as page:
        rows = page.locator("#model-0 tbody tr:not(.more)")
        verdicts = [text.split()[-1] for text in rows.locator(".badge").all_inner_texts()]
        assert verdicts == [*["fine", "fine", "regression", "crashed", "fine", "fine", "fine"]]
        assert page.locator("#model-1 .latest .badge").inner_text() == "✕ crashed"
        accuracy = plot_named(page, "Accuracy", "#model-0")
        assert accuracy.locator(".annotation-text", has_text="✕").count() == 1
        held = traces(accuracy)
        line = next(each for each in held if each["mode"] == "lines+markers")
        assert line["y"] == [90, 90, 90, None, 30, 90, 90]
        (ring,) = [each for each in held if each.get("name") == "regression"]
        assert (ring["x"], ring["y"]) == (["2026-11-05"], [30])
        link = rows.nth(0).get_by_role("link")
        assert (results / "nightly" / link.get_attribute("href")).is_file()


def test_a_night_of_two_workers_has_the_figures_of_the_whole_run(
    recordings: dict[str, Path], tmp_path: Path
) -> None:
    said = spend(tmp_path, recordings["good"], 1, "shards=2")
    assert said.status == 0, said.err
    (night,) = nights(tmp_path)
    assert night.value("math_mini/accuracy") == 0.9
    assert night.setting["workers"] == "2"


# --- nights that end badly --------------------------------------------------------------------


def begin(results: Path, recording: Path, day: int) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A night in a process of its own, and its run, which hangs."""
    night = subprocess.Popen(
        [sys.executable, "-m", "harness", *arguments(results, recording, day)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return night, wait_for(lambda: running(results, day))


def test_one_night_at_a_time_and_a_killed_one_is_on_record(
    recordings: dict[str, Path], tmp_path: Path
) -> None:
    before = scratch_folders()
    night, run = begin(tmp_path, recordings["stuck"], 1)
    second = spend(tmp_path, recordings["good"], 2)
    assert (second.status, second.out) == (2, "")
    (line,) = second.err.splitlines()
    assert mentions(line, "harness: ", f"(process {night.pid} since ")
    night.kill()
    night.communicate()
    wait_for(lambda: is_gone(run))
    assert nights(tmp_path) == []
    third = spend(tmp_path, recordings["good"], 2)
    assert third.status == 0
    killed, done = nights(tmp_path)
    assert killed.status == "crashed"
    assert mentions(known(killed.error), "killed")
    assert killed.run_id is not None
    assert (killed.night.day, done.night.day, done.status) == (1, 2, "done")
    assert scratch_folders() <= before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_night_that_is_stopped_leaves_nothing_behind(
    recordings: dict[str, Path], tmp_path: Path, number: Signals
) -> None:
    before = scratch_folders()
    night, run = begin(tmp_path, recordings["stuck"], 1)
    descendants = [run, *run.children(recursive=True)]
    night.send_signal(number)
    _, err = night.communicate()
    assert night.returncode == 130
    assert err.splitlines()[-1] == f"harness: stopped by {number.name}"
    wait_for(lambda: all(map(is_gone, descendants)))
    (stopped,) = nights(tmp_path)
    assert (stopped.status, stopped.error) == ("stopped", f"stopped by {number.name}")
    assert "stopped by" in (tmp_path / "nightly" / "index.html").read_text()
    assert not list((tmp_path / "nightly").glob("underway*"))
    assert scratch_folders() <= before


def test_a_run_that_hangs_is_stopped_in_time(recordings: dict[str, Path], tmp_path: Path) -> None:
    said = spend(tmp_path, recordings["stuck"], 1, "--max-hours=0.003")
    assert said.status == 4
    (job,) = said.summary["jobs"]
    assert job["reasons"] == ["stopped after 0.003 hours, as --max-hours says"]
