"""Sweeps through Hydra's launchers, on this machine: submitit's processes, and a Ray of its own."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.e2e.conftest import GOLDEN, Harness, answers, manifest

REPLAY = ["experiment=demo", "engine=replay", f"engine.run={GOLDEN}"]


def rows(err: str) -> list[list[str]]:
    """Of the table that a sweep ends with."""
    return [line.split() for line in err[err.rindex("job  overrides") :].splitlines()[1:3]]


@pytest.mark.skipif(find_spec("submitit") is None, reason="needs gegenprobe[slurm]")
def test_shards_through_submitit_are_merged_where_the_sweep_began(
    tmp_path: Path, harness: Harness
) -> None:
    done = harness(
        *("run", "-m", "hydra/launcher=slurm_local", *REPLAY, "shards=2", "shard=range(2)")
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    folder = Path(json.loads(line)["path"])
    parts = manifest(folder)["merged_from"]
    assert rows(done.stderr) == [
        ["1", "shard=0", "0", "shard", "0", "of", "2", parts[0]],
        ["2", "shard=1", "0", "shard", "1", "of", "2", parts[1]],
    ]
    assert answers(folder) == answers(GOLDEN)
    (sweep,) = tmp_path.glob(".sweeps/*")
    assert list(sweep.glob(".submitit/*/*_log.err")), "the launcher's logs are kept"


@pytest.mark.skipif(find_spec("ray") is None, reason="needs gegenprobe[ray]")
def test_a_job_that_ray_runs_and_one_that_fails_are_both_in_the_table(
    tmp_path: Path, harness: Harness
) -> None:
    done = harness(
        *("run", "-m", "hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=2"),
        *(*REPLAY, "tasks=[math_mini:20],[nope]"),
        RAY_USAGE_STATS_ENABLED="0",
        RAY_AUTH_MODE="disabled",
        RAY_memory_monitor_refresh_ms="0",  # or it ends a job for what other tests take
    )
    assert done.returncode == 2, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert rows(done.stderr) == [
        ["1", "tasks=[math_mini\\:20]", "0", "math_mini", "0.0", "%", folder.name],
        ["2", "tasks=[nope]", "2", "none"],
    ]
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["run_id"] == folder.name
    assert "UserWarning" not in done.stderr
