"""The run folder: append-only, locked, whole after a crash."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.io.jsonl import JsonlWriter, read_jsonl, write_atomically
from harness.records import Completion, Verdict
from harness.store.run_files import Run, create_run, find_result, find_run
from tests.facts import mentions


def completion(number: int, text: str = "x") -> Completion:
    return Completion(
        request_id=f"t/{number}#0",
        text=text,
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=2,
        reasoning_tokens=0,
    )


def verdict(number: int, status: str = "correct") -> Verdict:
    return Verdict(request_id=f"t/{number}#0", status=status, scorer="s@1", wall_s=0.1)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    with create_run(tmp_path, "some/model name", "replay") as made:
        yield made


def test_a_run_id_says_when_what_and_with_what(run: Run) -> None:
    stamp, model, engine, mark = run.run_id.split("_")
    assert stamp.endswith("Z")
    assert model == "some-model-name"
    assert engine == "replay"
    assert len(mark) == 6


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..", ".", "", "a/../../b", "~root", "a\0b\nc", "x" * 99]
)
def test_no_model_name_leads_out_of_the_results(tmp_path: Path, name: str) -> None:
    folder = create_run(tmp_path / "results", name, "replay").folder
    assert folder.parent == tmp_path / "results" / "runs"
    assert folder.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_each_record_is_on_disk_as_soon_as_it_is_appended(run: Run) -> None:
    for number in range(3):
        run.completions.append(completion(number, text="ä\n\u2028😀"))
        assert len(list(run.read_completions())) == number + 1
    assert (run.folder / "completions.jsonl").read_bytes().count(b"\n") == 3


def test_a_half_written_line_is_set_aside_and_nothing_else(run: Run) -> None:
    for number in range(2):
        run.completions.append(completion(number))
    file = run.folder / "completions.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"request_id":"t/2#0","te')
    (note,) = run.cut_torn_lines()
    assert mentions(note, "completions.jsonl: ", "25 bytes")
    assert file.read_bytes() == whole
    assert (run.folder / "completions.torn").read_bytes() == b'{"request_id":"t/2#0","te\n'
    assert run.cut_torn_lines() == []


def test_a_file_that_is_one_torn_line_becomes_empty(run: Run) -> None:
    (run.folder / "verdicts.jsonl").write_bytes(b"{")
    run.cut_torn_lines()
    assert run.read_verdicts() == {}


def test_a_torn_line_is_found_behind_a_very_long_one(run: Run) -> None:
    run.completions.append(completion(0, text="y" * 200_000))
    file = run.folder / "completions.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + b"z" * 150_000)
    run.cut_torn_lines()
    assert file.read_bytes() == whole


def test_a_corrupt_line_is_named_by_file_line_and_field(run: Run) -> None:
    run.completions.append(completion(0))
    with (run.folder / "completions.jsonl").open("ab") as stream:
        stream.write(b'{"request_id": "t/1#0"}\n')
    with pytest.raises(StoreError) as error:
        list(run.read_completions())
    assert str(error.value) == (
        f"{run.folder}/completions.jsonl:2: not a Completion: text: Field required"
    )


def test_garbage_in_the_middle_is_named_and_not_thrown_away(run: Run) -> None:
    file = run.folder / "completions.jsonl"
    file.write_bytes(b"\x00\xff garbage\n" + completion(1).model_dump_json().encode() + b"\n")
    with pytest.raises(StoreError, match=r"completions\.jsonl:1: not a Completion: Invalid JSON"):
        list(run.read_completions())
    assert file.stat().st_size > 12


def test_an_unfinished_last_line_says_who_can_mend_it(run: Run) -> None:
    (run.folder / "verdicts.jsonl").write_bytes(b'{"request_id":')
    with pytest.raises(StoreError, match=r"verdicts\.jsonl:1: .*; harness run resume=…"):
        run.read_verdicts()


def test_a_request_recorded_twice_is_refused(run: Run) -> None:
    run.verdicts.append(verdict(1))
    run.verdicts.append(verdict(1, "incorrect"))
    with pytest.raises(StoreError, match=r"t/1#0 .*twice"):
        run.read_verdicts()


def test_two_processes_cannot_write_one_run(run: Run) -> None:
    program = (
        "import sys; from pathlib import Path; from harness.store.run_files import Run\n"
        "from harness.errors import StoreError\n"
        "try:\n    Run(Path(sys.argv[1])).__enter__()\n"
        "except StoreError as error: print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(run.folder)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert mentions(said, f"run {run.run_id} ", f"process {os.getpid()}")


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    with create_run(tmp_path, "m", "replay") as first:
        folder = first.folder
    with Run(folder):
        pass


def test_new_verdicts_replace_the_old_ones_as_a_whole(run: Run) -> None:
    run.verdicts.append(verdict(1))
    run.start_new_verdicts()
    run.verdicts.append(verdict(1, "incorrect"))
    assert [v.status for v in read_jsonl(run.folder / "verdicts.jsonl", Verdict)] == ["correct"]
    run.keep_new_verdicts()
    assert [v.status for v in run.read_verdicts().values()] == ["incorrect"]


def test_an_atomic_write_leaves_the_old_file_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "result.json"
    write_atomically(file, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError) as error:
        write_atomically(file, "new")
    assert mentions(str(error.value), f"{file}: ", "No space left on device")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    writer = JsonlWriter(Path("/dev/full"))
    with pytest.raises(StoreError, match=r"^/dev/full: .*No space left on device$"):
        writer.append(completion(1))
    writer.close()


def test_a_run_is_found_by_id_folder_or_result_file(run: Run, tmp_path: Path) -> None:
    from harness.store.manifest import dump_json

    (run.folder / "manifest.json").write_text(dump_json({}))
    for name in (run.run_id, str(run.folder), str(run.folder / "result.json")):
        assert find_run(name, tmp_path).folder == run.folder


def test_no_run_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^nope: .*manifest\.json "):
        find_run("nope", tmp_path)


def test_a_results_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"^results_dir=.*/file: .*\(Not a dir"):
        create_run(tmp_path / "file", "m", "replay")


def test_a_run_without_a_result_says_what_makes_one(tmp_path: Path) -> None:
    from shutil import copytree

    from tests.e2e.conftest import GOLDEN

    folder = copytree(GOLDEN, tmp_path / "a")
    run = Run(folder)

    def words(status: str) -> str:
        run.write_manifest(run.read_manifest().model_copy(update={"status": status}))
        with pytest.raises(StoreError) as error:
            find_result(str(folder), tmp_path)
        return str(error.value)

    assert mentions(words("complete"), "run a ", "result.json", f"harness score {folder} ")
    never = words("interrupted")
    assert mentions(never, "run a ", "result.json", f"harness run resume={folder} ")
    assert words("running") == never
    with run:
        assert mentions(words("running"), "run a ", "process")
