"""No Python file of the repository escapes ruff or mypy: no test, and none without an ending."""

import subprocess
import sys
from pathlib import Path

import pytest
from mypy.main import process_options

from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def python_files() -> set[Path]:
    """Tracked files that end in .py or whose first line names Python."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    names = (Path(name) for name in listed.stdout.split("\0") if name)
    return {name for name in names if _is_python(REPOSITORY / name)}


def _is_python(file: Path) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    if file.suffix in {".py", ".pyi"}:
        return True
    with file.open("rb") as lines:
        first = lines.readline(200)
    return first.startswith(b"#!") and b"python" in first


def test_ruff_sees_every_python_file(python_files: set[Path]) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--show-files", "."],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = {Path(line).relative_to(REPOSITORY) for line in shown.stdout.splitlines()}
    assert python_files - seen == set()


def test_mypy_sees_every_python_file(
    python_files: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    sources, options = process_options([])
    seen = {Path(source.path) for source in sources if source.path is not None}
    assert options.disallow_untyped_defs, "strict"
    assert not [name for name in options.per_module_options if name.startswith("tests")]
    assert python_files - seen == set()
