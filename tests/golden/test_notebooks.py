"""The notebooks of ``examples/`` run, and show what is committed in them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Golden

PROGRAM = Path(__file__).with_name("run_notebook.py")
NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_shows_what_is_committed(file: Path, golden: Golden, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(file)],
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert golden(file, done.stdout) == done.stdout


def test_there_is_one_and_it_is_small() -> None:
    assert NOTEBOOKS
    assert all(file.stat().st_size < 50_000 for file in NOTEBOOKS)
