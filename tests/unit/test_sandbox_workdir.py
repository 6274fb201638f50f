"""Whatever tree a program leaves behind, nothing of it remains and nothing else is touched."""

import os
from pathlib import Path

import pytest

from harness.scorers.sandbox import workdir


def test_hostile_trees_go_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    outside.chmod(0o750)
    work = tmp_path / "work"
    work.mkdir()
    (work / "link").symlink_to(outside)
    (work / "loop").symlink_to("loop")
    (work / "hard").hardlink_to(outside / "kept")
    closed = work / "closed" / "deeper"
    closed.mkdir(parents=True)
    (closed / "link").symlink_to(outside)
    (closed / "file").write_text("x")
    os.mkfifo(closed / "fifo")
    closed.chmod(0)
    closed.parent.chmod(0)
    (work / "new\nline \udcff").write_text("x")
    workdir.remove(str(work))
    assert not work.exists()
    assert (outside / "kept").read_text() == "kept"
    assert outside.stat().st_mode & 0o777 == 0o750


def test_a_tree_deeper_than_any_path_goes(tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("d", dir_fd=place)
        deeper = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    workdir.empty(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_removing_nothing_is_no_error(tmp_path: Path) -> None:
    workdir.remove(str(tmp_path / "none"))


def test_overfull_by_files_and_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / str(number)).write_bytes(b"x" * 8192)
    assert not workdir.is_overfull(str(tmp_path))
    monkeypatch.setattr(workdir, "MAX_FILES", 4)
    assert workdir.is_overfull(str(tmp_path))
    monkeypatch.setattr(workdir, "MAX_FILES", 99)
    monkeypatch.setattr(workdir, "MAX_BYTES", 8192 * 4)
    assert workdir.is_overfull(str(tmp_path))
