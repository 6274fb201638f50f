"""Things of the user's, made by ``harness new`` far from any checkout, with the wheel alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.facts import mentions

Call = Callable[..., subprocess.CompletedProcess[str]]
RUN = ("engine=mine", "model=remote", "model.name=me", "protocol=greedy", "tasks=[sums]")


@pytest.fixture(scope="module")
def far(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Call]:
    """A folder with a task, a model, an engine and a scorer in it, the last two installed."""
    folder = tmp_path_factory.mktemp("far")

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{installed}{os.pathsep}{folder / 'site'}"
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "200", "PYTHONPATH": path, **environment},
        )

    for kind, name in (("task", "sums"), ("model", "small"), ("engine", "mine"), ("scorer", "own")):
        made = call("harness", "new", kind, name, "--dir", "things")
        assert made.returncode == 0, made.stderr
    for package in ("mine_engine", "own_scorer"):
        done = call(
            "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
            "--target", "site", f"things/{package}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    return folder, call


def manifest_of(run: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    return read


@pytest.mark.parametrize("package", ["mine_engine", "own_scorer"])
def test_the_tests_of_a_new_package_pass(far: tuple[Path, Call], package: str) -> None:
    _, call = far
    done = call("pytest", "-q", "-p", "no:cacheprovider", f"things/{package}/tests")
    assert done.returncode == 0, done.stdout


def test_nothing_is_written_over(far: tuple[Path, Call]) -> None:
    folder, call = far
    before = {file: file.read_bytes() for file in (folder / "things").rglob("*.*")}
    again = call("harness", "new", "model", "small", "--dir", "things")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    assert mentions(again.stderr, "things/conf/model/small.yaml")
    assert {file: file.read_bytes() for file in before} == before


def test_what_a_folder_brings_is_listed_completed_and_planned(far: tuple[Path, Call]) -> None:
    folder, call = far
    things = str(folder / "things")
    tasks = call("harness", "tasks", "--include", "things")
    assert {"sums@1", "own_example@1", "own-scorer 0.1.0"} <= set(words(tasks.stdout))
    models = call("harness", "models", GEGENPROBE_PATH="things")
    assert "small" in words(models.stdout)
    for table in (tasks, models):
        last = [line.rpartition("│")[2].strip() for line in table.stdout.splitlines()]
        assert things in "".join(last), "a long path folds and is never cut"
    line = "+harness run --include things engine=mi"
    assert call("harness", "completion", "words", line).stdout.split() == ["engine=mine"]
    searched = f"hydra.searchpath=[file://{things}]"
    plan = call("harness", "run", searched, "model=small", *RUN[3:], "--dry-run")
    assert plan.returncode == 0, plan.stderr
    assert f"{things}: model small, task sums" in plan.stdout
    doctor = call("harness", "doctor", "--include", "things", "--json")
    found = {each["name"]: each for each in json.loads(doctor.stdout)["findings"]}
    assert found[things]["value"] == "model small, task sums"
    assert {found[name]["status"] for name in ("engine mine", "scorer own", things)} == {"ok"}


def words(table: str) -> list[str]:
    return [cell.strip() for line in table.splitlines() for cell in line.split("│")]


def test_a_run_finds_its_folder_again(far: tuple[Path, Call]) -> None:
    folder, call = far
    begun = call("harness", "run", "--include", "things", *RUN, "results_dir=once")
    assert begun.returncode == 0, begun.stderr
    (run,) = (folder / "once" / "runs").iterdir()
    manifest = manifest_of(run)
    assert manifest["config"]["included"].keys() == {"task sums"}
    assert manifest["config"]["included"]["task sums"]["folder"] == str(folder / "things")
    assert manifest["extensions"] == {"engine mine": "mine-engine 0.1.0"}
    fields = manifest["protocol_fields"]["sums"]
    assert str(folder) not in json.dumps(fields)
    assert "definition_sha256" in fields

    here = ("--results-dir", "once")
    for command in (
        ("score", run.name, *here),
        ("validate", run.name, *here),
        ("compare", run.name, run.name, *here),
    ):
        done = call("harness", *command)
        assert done.returncode == 0, done.stderr
    resumed = ("run", f"resume={run.name}", "results_dir=once", "limits.max_error_fraction=0.5")
    again = call("harness", *resumed)
    assert again.returncode == 0, again.stderr

    moved = (folder / "things").rename(folder / "elsewhere")
    try:
        lost = call("harness", *resumed)
        assert (lost.returncode, len(lost.stderr.splitlines())) == (3, 1), lost.stderr
        assert mentions(lost.stderr, "task sums", str(folder / "things"), "--include")
        found = call("harness", *resumed, "--include", "elsewhere")
        assert found.returncode == 0, found.stderr
        assert call("harness", "score", run.name, *here).returncode == 0
    finally:
        moved.rename(folder / "things")


def test_children_see_the_folder_too(far: tuple[Path, Call]) -> None:
    folder, call = far
    include = ("--include", "things", *RUN)
    swept = call("harness", "run", "-m", *include, "seed=1,2", "results_dir=swept")
    assert swept.returncode == 0, swept.stderr
    assert len(list((folder / "swept" / "runs").iterdir())) == 2
    sharded = call("harness", "run", *include, "shards=2", "results_dir=sharded")
    assert sharded.returncode == 0, sharded.stderr
    night = call("harness", "nightly", *include, "protocol.samples_per_problem=1", "--dry-run")
    assert night.returncode == 0, night.stderr


def test_a_copy_elsewhere_is_the_same_protocol(far: tuple[Path, Call], tmp_path: Path) -> None:
    folder, call = far
    made = call("harness", "new", "task", "sums", "--dir", str(tmp_path))
    assert made.returncode == 0, made.stderr
    for number, place in enumerate((folder / "things", tmp_path)):
        results = f"results_dir={tmp_path / 'results' / str(number)}"
        done = call("harness", "run", "--include", str(place), *RUN, results)
        assert done.returncode == 0, done.stderr
    runs = sorted((tmp_path / "results").glob("*/runs/*"))
    one, other = (manifest_of(run)["protocol_fingerprints"] for run in runs)
    assert one == other


def test_two_of_one_name_are_refused_by_both_places(far: tuple[Path, Call], tmp_path: Path) -> None:
    folder, call = far
    task = tmp_path / "tasks" / "sums"
    task.mkdir(parents=True)
    (task / "task.yaml").write_bytes((folder / "things/tasks/sums/task.yaml").read_bytes())
    model = tmp_path / "conf" / "model" / "smollm2_135m.yaml"
    model.parent.mkdir(parents=True)
    model.write_text(yaml.safe_dump({"kind": "remote", "name": "x"}), encoding="utf-8")
    both = ("--include", str(folder / "things"), "--include", str(tmp_path))
    listed = call("harness", "tasks", *both)
    assert listed.returncode == 2
    assert mentions(listed.stderr, "sums", str(folder / "things/tasks/sums"), str(task))
    run = call("harness", "run", *both, *RUN, "--dry-run")
    assert (run.returncode, len(run.stderr.splitlines())) == (2, 1)
    assert mentions(run.stderr, "model=smollm2_135m", str(model))


def test_a_new_study_is_judged(far: tuple[Path, Call]) -> None:
    _, call = far
    assert call("harness", "new", "study", "published", "--dir", "things").returncode == 0
    judged = call("harness", "claims", "--study", "things/conf/study/published", "--json")
    assert judged.returncode == 0, judged.stderr
    assert [each["verdict"] for each in json.loads(judged.stdout)] == ["untested"]
