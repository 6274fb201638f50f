"""Launchers: what is handed to Hydra, and the words for one that is not installed."""

import logging
import os
from pathlib import Path

import pytest

from harness.errors import UnavailableError
from harness.process.report import FinishedReport
from harness.runner.compose import compose_and_run
from harness.runner.sweep import launcher_of, launchers, sweep_folder, with_launcher
from harness.runner.sweep.outcome import SweptJob, conclude
from tests.facts import mentions


def test_a_launcher_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launchers, "_NEEDS", {"slurm": ("no_such_package.launcher", "slurm")})
    with pytest.raises(UnavailableError) as caught:
        with_launcher(["hydra/launcher=slurm"], Path("/x"), is_dry_run=False)
    assert mentions(str(caught.value), "hydra/launcher=slurm: ", "pip install 'gegenprobe[slurm]'")


def test_every_launcher_that_is_shipped_is_known_to_need_something() -> None:
    from harness.io.paths import CONF_DIR

    shipped = {file.stem for file in (CONF_DIR / "hydra" / "launcher").glob("*.yaml")}
    assert shipped == {"slurm", "slurm_local", "ray"}
    assert shipped <= launchers._NEEDS.keys()


def test_a_plan_is_made_here_whatever_would_run_it() -> None:
    given = ["-m", "hydra/launcher=slurm", "hydra.launcher.partition=gpu", "seed=1,2"]
    assert with_launcher(given, Path("/x"), is_dry_run=True) == ["-m", "seed=1,2"]
    assert launcher_of(given) == "slurm"
    assert launcher_of([*given, "hydra/launcher=basic"]) is None


def test_a_planned_job_leaves_no_variable_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    given = ["-m", "experiment=demo", "seed=1,2", "+hydra.job.env_set.OF_A_JOB=1", "--dry-run"]
    assert compose_and_run([*given, f"results_dir={tmp_path}"]) == 0
    assert "seed=2" in "".join(capsys.readouterr())
    assert "OF_A_JOB" not in os.environ


def test_the_folder_of_a_launched_sweep_is_among_the_results_and_stays(tmp_path: Path) -> None:
    results = tmp_path / "it's here"
    given = ["-m", "hydra/launcher=ray", f"results_dir={results}"]
    with sweep_folder(given, is_dry_run=False) as folder:
        assert folder.parent == results / ".sweeps"
        arguments = with_launcher(given, folder, is_dry_run=False)
    assert folder.is_dir()
    assert arguments[-1] == "hydra.sweep.dir='" + str(folder).replace("'", "\\'") + "'"
    with sweep_folder(["-m", "seed=1,2"], is_dry_run=False) as scratch:
        assert results not in scratch.parents
    assert not scratch.exists()


def swept(number: int, status: int | None) -> SweptJob:
    report = None if status is None else FinishedReport(status=status)
    return SweptJob(number=number, overrides=(f"seed={number}",), report=report)


def test_a_job_whose_end_is_unknown_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="harness"):
        assert conclude([swept(1, 0), swept(2, None)], is_elsewhere=True) == 1
    assert [each.message for each in caplog.records] == [
        "exit status 0: seed=1",
        "exit status 1: seed=2",
    ]
