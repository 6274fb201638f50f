"""A wheel carries conf/ and tasks/, and the command works from any directory."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.facts import known

LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))


def call(installed: Path, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        cwd=directory, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip


def test_the_wheel_is_what_runs(installed: Path, tmp_path: Path) -> None:
    program = "import harness; print(harness.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert done.stdout.startswith(str(installed))


def test_conf_and_tasks_are_in_it(installed: Path, tmp_path: Path) -> None:
    listed = call(installed, tmp_path, "tasks")
    assert "math_mini@1" in listed.stdout, listed.stderr
    plan = call(installed, tmp_path, "run", "experiment=demo", "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert "math_mini:20: 20 of 70 problems" in plan.stdout


def test_results_lie_in_the_working_directory(installed: Path, tmp_path: Path) -> None:
    done = call(installed, tmp_path, "validate", "nope")
    assert f"in {tmp_path / 'results'}" in done.stderr


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False
    )


def test_the_recipe_for_machines_without_network(tmp_path: Path) -> None:
    """As docs/air-gapped.md has it, with the two packages that ``pip download`` does not do.

    All others are published as wheels, and would be gigabytes.
    """
    page = (REPOSITORY / "docs" / "air-gapped.md").read_text(encoding="utf-8")
    fetch, install = re.findall(r"^pip (.*)$", page, re.M)
    wheels, target = tmp_path / "wheels", tmp_path / "target"
    words = [str(wheels) if word == "wheels" else word for word in shlex.split(fetch)]
    pins = "".join(file.read_text(encoding="utf-8") for file in LOCKS)
    pinned = known(re.search(r"antlr4-python3-runtime==[\d.]+", pins))[0]
    packages = {".[vllm]": [str(REPOSITORY), pinned]}
    words = [each for word in words for each in packages.get(word, [word])]
    done = pip(*words, "--no-deps", "--quiet")
    if "No matching distribution" in done.stderr or "Connection" in done.stderr:
        pytest.skip("needs a package index")
    assert done.returncode == 0, done.stderr
    assert {file.name.partition("-")[0] for file in wheels.glob("*.whl")} == {
        "gegenprobe",
        "antlr4_python3_runtime",
    }
    words = [str(wheels) if word == "wheels" else word for word in shlex.split(install)]
    words = [word.partition("[")[0] for word in words]
    done = pip(*words, pinned, "--no-deps", "--quiet", "--target", str(target))
    assert done.returncode == 0, done.stderr
    assert (target / "harness" / "cli" / "main.py").is_file()
    assert (target / "antlr4" / "Parser.py").is_file()
