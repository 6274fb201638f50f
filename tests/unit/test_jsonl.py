"""The line files: whatever happened to one, what was written whole is read back, and only that."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import StoreError
from harness.io.jsonl import JsonlWriter, read_json, read_jsonl, write_atomically
from harness.records import Completion
from harness.store.manifest import RunManifest
from harness.store.run_files import Run
from tests.facts import known, mentions

FUZZ = settings(
    derandomize=True,
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXTS = st.text(max_size=30) | st.sampled_from(["\n", "\r\n", "\u2028\x85", "\0", '"}\n{"', "\\"])


def completion(number: int, text: str) -> Completion:
    return Completion(
        request_id=f"t/{number}#0",
        text=text,
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=2,
        reasoning_tokens=None,
    )


def written(folder: Path, texts: list[str]) -> tuple[Path, list[Completion]]:
    """A file of completions, as a run writes it."""
    file = folder / "completions.jsonl"
    file.write_bytes(b"")
    records = [completion(number, text) for number, text in enumerate(texts)]
    writer = JsonlWriter(file)
    for record in records:
        writer.append(record)
    writer.close()
    return file, records


def survivors(file: Path) -> tuple[list[Completion], StoreError | None]:
    """What is read before the file ends or is found to be damaged."""
    found = []
    try:
        for record in read_jsonl(file, Completion):
            found.append(record)
    except StoreError as error:
        return found, error
    return found, None


@given(texts=st.lists(TEXTS, min_size=1, max_size=5), data=st.data())
@FUZZ
def test_cut_anywhere_it_keeps_every_whole_line(
    tmp_path: Path, texts: list[str], data: st.DataObject
) -> None:
    file, records = written(tmp_path, texts)
    content = file.read_bytes()
    assert content.count(b"\n") == len(records)
    end = data.draw(st.integers(0, len(content)))
    file.write_bytes(content[:end])
    whole = content[:end].count(b"\n")
    is_torn = not content[:end].endswith(b"\n") and end > 0
    found, error = survivors(file)
    # All but its line end makes a whole record as well; it is still set aside and made again.
    assert found[:whole] == records[:whole]
    assert (error is not None) == (is_torn and len(found) == whole)
    if error is not None:
        assert mentions(str(error), f"{file}:{whole + 1}: ", "Completion", "harness run resume=…")
    assert bool(Run(tmp_path).cut_torn_lines()) == is_torn
    assert survivors(file) == (records[:whole], None)


@given(texts=st.lists(TEXTS, max_size=4), garbage=st.binary(min_size=1, max_size=60))
@FUZZ
def test_whatever_follows_nothing_before_it_is_lost(
    tmp_path: Path, texts: list[str], garbage: bytes
) -> None:
    file, records = written(tmp_path, texts)
    before = file.read_bytes()
    file.write_bytes(before + garbage)
    found, error = survivors(file)
    assert found == records
    assert error is not None, "garbage passed for a record"
    assert str(error).startswith(f"{file}:{len(records) + 1}: ")
    assert str(error).isprintable()
    Run(tmp_path).cut_torn_lines()
    whole_lines = garbage[: garbage.rfind(b"\n") + 1]
    assert file.read_bytes() == before + whole_lines, "more or less than the torn tail went"
    found, error = survivors(file)
    assert found == records
    assert (error is None) == (not whole_lines)


@given(texts=st.lists(TEXTS, min_size=1, max_size=3), data=st.data())
@FUZZ
def test_a_damaged_byte_never_ends_in_a_traceback(
    tmp_path: Path, texts: list[str], data: st.DataObject
) -> None:
    file, _ = written(tmp_path, texts)
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(content)
    for record in survivors(file)[0]:
        assert isinstance(record, Completion)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
        b'{"prompt_tokens":1e400}',
        b'{"text":NaN}',
        b'{"text":"\\ud800"}',
        b"__import__('os').system('touch pwned')",
        b'!!python/object/apply:os.system ["touch pwned"]',
        b"\xef\xbb\xbf{}",
        b"\0" * 4096,
    ],
    ids=lambda line: repr(line[:20]),
)
def test_a_strange_line_is_named_and_nothing_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "completions.jsonl"
    file.write_bytes(line + b"\n")
    found, error = survivors(file)
    assert found == []
    assert mentions(str(error), f"{file}:1: ", "Completion")
    assert [path.name for path in tmp_path.iterdir()] == ["completions.jsonl"]
    with pytest.raises(StoreError, match="RunManifest"):
        read_json(file, RunManifest)


def test_a_lone_surrogate_does_not_end_a_run(tmp_path: Path) -> None:
    """A server may send one; UTF-8 has no place for it."""
    _, _ = written(tmp_path, ["before", "a \ud800 b \N{SNOWMAN}", "after"])
    found, error = survivors(tmp_path / "completions.jsonl")
    assert error is None
    assert [each.text for each in found] == ["before", "a ? b \N{SNOWMAN}", "after"]


def test_a_short_write_takes_back_its_own_line_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills in the middle of a line, in a process that did not write the lines before."""
    file, records = written(tmp_path, ["one", "two"])
    writer = JsonlWriter(file)
    writer.append(completion(2, "three"))
    whole = file.read_bytes()
    stream = writer._stream
    assert stream is not None

    class Short:
        def __getattr__(self, name: str) -> Any:
            return getattr(stream, name)

        def write(self, line: bytes) -> int:
            return known(stream).write(line[:10])

    monkeypatch.setattr(writer, "_stream", Short())
    with pytest.raises(StoreError, match="No space left on device"):
        writer.append(completion(3, "four"))
    assert file.read_bytes() == whole
    writer.close()
    assert survivors(file) == ([*records, completion(2, "three")], None)


def test_what_is_written_into_a_run_stays_in_its_folder(tmp_path: Path) -> None:
    """The folder may come from somebody who put links into it."""
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", "completions.jsonl", "completions.torn"):
        (folder / name).symlink_to(outside)
    run = Run(folder)
    with pytest.raises(StoreError) as error, run:
        pass
    assert mentions(str(error.value), f"{folder}/.lock: ", "link")
    with pytest.raises(StoreError, match=r"completions\.jsonl: .*link"):
        run.completions.append(completion(0, "x"))
    with pytest.raises(StoreError, match=r"completions\.jsonl: .*link"):
        run.cut_torn_lines()
    (folder / f".manifest.json.{os.getpid()}.new").symlink_to(outside)
    (folder / "manifest.json").symlink_to(outside)
    write_atomically(folder / "manifest.json", "{}")
    (folder / "verdicts.jsonl").symlink_to(outside)
    (folder / "verdicts.new.jsonl").symlink_to(outside)
    run.start_new_verdicts()
    run.verdicts.append(completion(0, "x"))
    run.keep_new_verdicts()
    assert outside.read_text() == "untouched"
    assert not (folder / "manifest.json").is_symlink()
    assert not (folder / "verdicts.jsonl").is_symlink()
