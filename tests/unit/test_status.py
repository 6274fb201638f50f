"""How far runs are, from files made by hand."""

import fcntl
import os
import shutil
import time
from pathlib import Path

import pytest

from harness.analysis.status import LATE_BEAT_S, Watch
from harness.store.manifest import RunManifest
from harness.store.run_files import Run, Writer, writer_of
from tests.facts import known

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"
FILES = ("manifest.json", "heartbeat.json", "completions.jsonl", "verdicts.jsonl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the recording that says that it is still under way, with half of its answers."""
    shutil.copytree(GOLDEN, tmp_path / "run")
    run = Run(tmp_path / "run")
    run.write_manifest(run.read_manifest().model_copy(update={"status": "running"}))
    for name in ("completions", "verdicts"):
        file = run.folder / f"{name}.jsonl"
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:20]))
    (run.folder / "result.json").unlink(missing_ok=True)
    return run.folder


def whole_lines(name: str) -> list[bytes]:
    return (GOLDEN / f"{name}.jsonl").read_bytes().splitlines(keepends=True)


def silent_for(folder: Path, seconds: float) -> None:
    for name in FILES:
        if (folder / name).exists():
            then = time.time() - seconds
            os.utime(folder / name, (then, then))


def test_a_finished_run_has_its_figures() -> None:
    state = Watch(GOLDEN).look()
    assert (state.state, state.done, state.graded, state.requests) == ("complete", 40, 40, 40)
    assert state.solved == sum(b'"status":"correct"' in line for line in whole_lines("verdicts"))
    assert state.solved_fraction == state.solved / 40
    assert known(state.solved_low) < state.solved_fraction < known(state.solved_high)
    assert known(state.machine_s) > 0
    assert state.time_left_s is None


def test_each_look_reads_on_and_a_line_that_is_half_written_waits(folder: Path) -> None:
    watch = Watch(folder)
    assert watch.look().done == 20
    line = whole_lines("completions")[20]
    with (folder / "completions.jsonl").open("ab") as stream:
        stream.write(line[:50])
        stream.flush()
        assert watch.look().done == 20
        stream.write(line[50:])
    assert watch.look().done == 21


def test_verdicts_made_anew_take_the_place_of_the_old(folder: Path) -> None:
    watch = Watch(folder)
    assert watch.look().graded == 20
    run = Run(folder)
    run.start_new_verdicts()
    (folder / "verdicts.new.jsonl").write_bytes(b"".join(whole_lines("verdicts")[:3]))
    run.keep_new_verdicts()
    assert watch.look().graded == 3


def test_who_holds_the_lock_is_told_without_taking_it(folder: Path) -> None:
    assert writer_of(folder) == Writer(None, None)
    with Run(folder):
        assert writer_of(folder) == Writer(os.getpid(), True)
        assert Watch(folder).look().process == os.getpid()
    with (folder / ".lock").open("rb") as free:
        assert writer_of(folder) == Writer(os.getpid(), False)
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_run_of_this_machine_without_a_process_is_dead_at_once(folder: Path) -> None:
    with Run(folder):
        assert Watch(folder).look().state == "generating"
    assert Watch(folder).look().state == "dead"


@pytest.mark.parametrize(("silent_s", "state"), [(0.0, "generating"), (LATE_BEAT_S + 60.0, "dead")])
def test_a_run_of_another_machine_is_known_by_its_signs_of_life(
    folder: Path, silent_s: float, state: str
) -> None:
    (folder / ".lock").write_text("process 1\nelsewhere.example\n", encoding="ascii")
    silent_for(folder, silent_s)
    assert Watch(folder).look().state == state


def test_before_its_engine_is_ready_a_run_loads(folder: Path) -> None:
    run = Run(folder)
    without = run.read_manifest().model_copy(update={"sessions": ()})
    run.write_manifest(without)
    with run:
        state = Watch(folder).look()
    assert (state.state, state.engine, state.usd) == ("loading", None, None)


def test_with_all_answers_it_grades(folder: Path) -> None:
    shutil.copy(GOLDEN / "completions.jsonl", folder)
    with Run(folder):
        state = Watch(folder).look()
    assert (state.state, state.done, state.graded) == ("grading", 40, 20)


def test_an_error_of_the_machine_is_in_no_denominator(folder: Path) -> None:
    file = folder / "verdicts.jsonl"
    text = file.read_text(encoding="utf-8")
    first = text.index('"status":"') + len('"status":"')
    end = text.index('"', first)
    file.write_text(text[:first] + "generation_error" + text[end:], encoding="utf-8")
    state = Watch(folder).look()
    assert (state.errors, state.graded) == (1, 20)
    assert state.solved_fraction == pytest.approx(state.solved / 19)


def test_the_time_left_is_that_of_the_newest_sessions_rate(folder: Path) -> None:
    run = Run(folder)
    manifest: RunManifest = run.read_manifest()
    open_end = {"clock_start_s": 0.0, "clock_end_s": None, "is_end_known": False}
    session = manifest.sessions[0].model_copy(update=open_end)
    run.write_manifest(manifest.model_copy(update={"sessions": (session,)}))
    finishes = [known(line.finished_s) for line in run.read_completions()]
    with run:
        state = Watch(folder).look()
    elapsed_s = max(finishes)
    assert state.time_left_s == pytest.approx(elapsed_s)
    assert state.output_tokens_per_s == pytest.approx(known(state.output_tokens) / known(elapsed_s))


def test_a_replay_of_a_part_is_not_billed_for_the_whole_recording(folder: Path) -> None:
    run = Run(folder)
    run.write_manifest(run.read_manifest().model_copy(update={"is_part_of_recording": True}))
    state = Watch(folder).look()
    assert (state.machine_s, state.usd) == (None, None)
