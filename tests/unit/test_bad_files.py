"""Files that are damaged or of another age are one line with their name, and exit status 2."""

import shutil
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.errors import StoreError, TaskError
from harness.io import paths
from harness.io.jsonl import read_json
from harness.io.paths import CONF_DIR, TASKS_DIR
from harness.models.tokenizer_files import named_key
from harness.runner import compose
from harness.store.manifest import RunManifest
from harness.tasks import load_spec, task_names
from tests.conftest import REPOSITORY

BAD_YAML = {
    "tabs": b"name: mine\n\tkind: local\n",
    "double keys": b"name: mine\nname: other\n",
    "Latin-1": b"name: \xe9\n",
}


@pytest.fixture
def own_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "conf"
    shutil.copytree(CONF_DIR, folder)
    monkeypatch.setattr(compose, "CONF_DIR", folder)
    monkeypatch.setattr(paths, "CONF_DIR", folder)
    return folder


@pytest.fixture
def own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tasks"
    shutil.copytree(TASKS_DIR / "math_mini", folder / "math_mini")
    monkeypatch.setattr(paths, "TASKS_DIR", folder)
    return folder


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_a_bad_file_of_conf_is_named_on_one_line(
    text: bytes, own_conf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_conf / "model" / "mine.yaml").write_bytes(text)
    for command in (["run", "model=mine", "--dry-run"], ["models"]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "mine.yaml" in line
        assert "no YAML" in line


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_a_bad_definition_is_named_on_one_line(text: bytes, own_tasks: Path) -> None:
    (own_tasks / "mine").mkdir()
    (own_tasks / "mine" / "task.yaml").write_bytes(text)
    with pytest.raises(TaskError, match=r"^tasks/mine/task\.yaml: no YAML: .*") as error:
        load_spec("mine")
    assert "\n" not in str(error.value)


def test_only_names_that_run_takes_are_listed(
    own_tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(own_tasks / "math_mini", own_tasks / "My-Task")
    assert task_names() == ["math_mini"]
    assert main(["tasks"]) == 2
    out, err = capsys.readouterr()
    assert "My-Task" not in out
    assert "tasks/My-Task: " in err


def test_another_schema_is_said_with_the_one_that_is_read(tmp_path: Path) -> None:
    golden = REPOSITORY / "tests" / "golden" / "runs" / "smollm2_demo" / "manifest.json"
    text = golden.read_text(encoding="utf-8").replace('"schema_version":1', '"schema_version": 1')
    file = tmp_path / "manifest.json"
    file.write_text(text.replace('"schema_version": 1', '"schema_version": 99'), encoding="utf-8")
    with pytest.raises(StoreError, match="version 99"):
        read_json(file, RunManifest)


def test_a_library_that_asks_for_its_own_argument_is_answered_with_our_key() -> None:
    error = ValueError("Please pass the argument `trust_remote_code=True` to allow custom code")
    assert "model.trust_remote_code=true" in named_key("x", error)
    assert named_key("no file", OSError("no file")) == "no file"
