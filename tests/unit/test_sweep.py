"""Launchers: what is handed to Hydra, and the words for one that is not installed."""

import logging
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import UnavailableError
from harness.machine import hardware
from harness.process.report import MAX_ERROR, FinishedReport
from harness.run import job
from harness.run.job import Aftermath, Job
from harness.run.sweep import launcher_of, launchers, sweep_folder, with_launcher
from harness.run.sweep.outcome import SweptJob, conclude
from tests.conf.test_compose import compose


def test_a_launcher_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setattr(launchers, "_NEEDS", {"slurm": ("no_such_package.launcher", "slurm")})
    with pytest.raises(UnavailableError) as caught:
        with_launcher(["hydra/launcher=slurm"], Path("/x"), is_dry_run=False)
    assert str(caught.value) == (
        "hydra/launcher=slurm: its package is not installed; pip install 'gegenprobe[slurm]'"
    )


def test_every_launcher_that_is_shipped_is_known_to_need_something():
    from harness.io.paths import CONF_DIR

    shipped = {file.stem for file in (CONF_DIR / "hydra" / "launcher").glob("*.yaml")}
    assert shipped == {"slurm", "slurm_local", "ray"}
    assert shipped <= launchers._NEEDS.keys()


def test_a_plan_is_made_here_whatever_would_run_it():
    given = ["-m", "hydra/launcher=slurm", "hydra.launcher.partition=gpu", "seed=1,2"]
    assert with_launcher(given, Path("/x"), is_dry_run=True) == ["-m", "seed=1,2"]
    assert launcher_of(given) == "slurm"
    assert launcher_of([*given, "hydra/launcher=basic"]) is None


def test_the_folder_of_a_launched_sweep_is_among_the_results_and_stays(tmp_path):
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


def test_a_job_whose_end_is_unknown_has_failed(caplog):
    with caplog.at_level(logging.INFO, logger="harness"):
        assert conclude([swept(1, 0), swept(2, None)], is_elsewhere=True) == 1
    assert [each.message for each in caplog.records] == [
        "exit status 0: seed=1",
        "exit status 1: seed=2",
    ]


# Its child starts a sleeper and ends at once: nobody is left that could end the sleeper.
LEAVES_ONE = """
import subprocess, sys
none = subprocess.DEVNULL
sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(sleeper, stdout=none, stderr=none).pid)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux hands orphans on")
def test_what_a_job_leaves_behind_is_killed_and_said(monkeypatch, caplog):
    monkeypatch.setattr(job, "GRACE_S", 0.2)
    mine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        with Aftermath():
            done = subprocess.run(
                [sys.executable, "-c", LEAVES_ONE], capture_output=True, text=True, check=True
            )
            left = psutil.Process(int(done.stdout))
        assert psutil.wait_procs([left], timeout=60)[1] == []
        assert mine.poll() is None, "what was there before is none of the job's"
    finally:
        mine.kill()
        mine.wait()
    assert "1 processes that a job had left behind were killed" in caplog.text


@pytest.mark.parametrize(("then", "is_said"), [((9_000_000_000,), True), ((9e9, 1e9), False)])
def test_gpu_memory_that_does_not_come_back_is_said(monkeypatch, caplog, then, is_said):
    """Where NVML tells of any; a job's memory may take a moment to come back."""
    monkeypatch.setattr(job, "MEMORY_LIMIT_S", 0.5 if is_said else 60)
    told = iter((1_000_000_000, *then))
    last = then[-1]
    monkeypatch.setattr(hardware, "gpu_memory_bytes", lambda _: (next(told, last), "NVML"))
    with Aftermath():
        pass
    words = "GPU memory in use is 9.0 GB, before the job it was 1.0 GB"
    assert (words in caplog.text) == is_said


def test_a_job_with_much_to_say_ends_and_may_be_waited_for_again():
    """More than a pipe holds, which nobody reads before the end; a signal may ask all jobs anew."""
    config = compose("experiment=demo", "engine=replay", "engine.run=x").model_dump(mode="json")
    config["engine"]["run"] = "x" * 200_000
    started = Job(config, prefix="")
    report = started.wait()
    assert report.status == 1
    assert report.error is not None
    assert "File name too long" in report.error
    assert len(report.error) == MAX_ERROR + 1
    assert started.wait() == report
