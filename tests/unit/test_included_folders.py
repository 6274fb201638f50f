"""Folders of the user's: what is read from them, and what is remembered of it."""

import shutil
from pathlib import Path

import pytest

from harness.io.paths import CONF_DIR, INCLUDED, include, includes_restored, place_of
from harness.models.shape import read_architecture

QWEN = CONF_DIR / "architecture" / "r1_distill_qwen_7b.yaml"


@pytest.fixture(autouse=True)
def nothing_included(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INCLUDED, raising=False)


def folder_with(tmp_path: Path, name: str, layers: int) -> Path:
    """A folder whose architecture ``mine`` has so many layers."""
    file = tmp_path / name / "conf" / "architecture" / "mine.yaml"
    file.parent.mkdir(parents=True)
    text = QWEN.read_text(encoding="utf-8").replace("r1_distill_qwen_7b", "mine")
    assert "layers: 28" in text
    file.write_text(text.replace("layers: 28", f"layers: {layers}"), encoding="utf-8")
    return tmp_path / name


def test_what_another_folder_said_is_forgotten_with_it(tmp_path: Path) -> None:
    for name, layers in [("a", 28), ("b", 30)]:
        with includes_restored():
            include([folder_with(tmp_path, name, layers)])
            assert read_architecture("mine").layers == layers


def test_a_folder_that_is_made_later_is_seen(tmp_path: Path) -> None:
    (tmp_path / "mine" / "tasks").mkdir(parents=True)
    with includes_restored():
        include([tmp_path / "mine"])
        file = tmp_path / "mine" / "conf" / "model" / "x.yaml"
        assert place_of(file) is None
        file.parent.mkdir(parents=True)
        assert place_of(file) == tmp_path / "mine"


def test_an_environment_inside_the_folder_is_not_the_users(tmp_path: Path) -> None:
    mine = folder_with(tmp_path, "mine", 28)
    shipped = mine / ".venv" / "lib" / "harness" / "_data" / "conf" / "model"
    shutil.copytree(CONF_DIR / "model", shipped)
    with includes_restored():
        include([mine])
        assert place_of(shipped / "smollm2_135m.yaml") is None
        assert place_of(mine / "conf" / "architecture" / "mine.yaml") == mine
