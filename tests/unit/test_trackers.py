"""Trackers, the real ones: what they were told is read back, and their failure costs nothing."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.config.settings import NoTracker, RunConfig, WandbTracker, differing_keys
from harness.errors import UnavailableError
from harness.runner.trackers import check_tracker
from harness.runner.trackers.flat import metrics_of, params_of, tags_of
from harness.store.result import RunResult
from tests.facts import mentions
from tests.unit.leaderboard_results import BASELINES

BASELINE = BASELINES / "smollm2_135m_standard_vllm.json"
GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"


@pytest.fixture(scope="module")
def result() -> RunResult:
    return RunResult.model_validate_json(BASELINE.read_bytes())


@pytest.fixture
def folder(tmp_path: Path, result: RunResult) -> Path:
    run = tmp_path / "results" / "runs" / result.manifest.run_id
    run.mkdir(parents=True)
    shutil.copy(BASELINE, run / "result.json")
    return run


def in_another_process(code: str, *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python as a user would, without a network where the kernel lets us take it away."""
    command = [sys.executable, "-c", code, *arguments]
    cut_off = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*cut_off, "true"], check=False).returncode == 0:
        command = [*cut_off, *command]
    names = ("MLFLOW_", "WANDB_", "DO_NOT_TRACK")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    environment = {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


# --- what is told -----------------------------------------------------------------------------


def test_unknown_figures_are_left_out_and_intervals_have_names(result: RunResult) -> None:
    metrics, params, tags = metrics_of(result), params_of(result), tags_of(result)
    known = [each for each in result.estimates if each.value is not None]
    assert len(known) < len(result.estimates)
    for each in result.estimates:
        name = f"{each.task}/{each.metric}" if each.task else each.metric
        assert metrics.get(name.replace("@", "_at_")) == each.value
    assert metrics["humaneval/accuracy.low"] < metrics["humaneval/accuracy"]
    assert "math500/cost_per_solved.rented" not in metrics
    assert params["protocol.max_new_tokens"] == "400"
    assert "purpose" not in params
    assert tags["fingerprint.humaneval"] == "1e84a74d4fa768aa"


def test_the_tracker_is_no_part_of_a_runs_identity(result: RunResult) -> None:
    config = result.manifest.config
    assert config.tracker == NoTracker()  # of a manifest from before there were any
    other = config.model_copy(update={"tracker": WandbTracker(kind="wandb")})
    assert differing_keys(config, other) == []
    assert RunConfig.model_validate_json(other.model_dump_json()) == other


# --- MLflow -----------------------------------------------------------------------------------

TO_MLFLOW = """
import json, sys, threading
from pathlib import Path
from harness.config.settings import MlflowTracker
from harness.runner.trackers import track
from harness.store.result import load
folder = Path(sys.argv[1])
track(MlflowTracker(kind="mlflow"), load(folder), folder)
threads = [thread.name for thread in threading.enumerate()]
from mlflow import MlflowClient
client = MlflowClient((folder.parent.parent / "mlruns").as_uri())
experiment = client.get_experiment_by_name("gegenprobe")
(run,) = client.search_runs([experiment.experiment_id])
artifact = Path(client.download_artifacts(run.info.run_id, "result.json"))
json.dump({
    "name": run.info.run_name, "status": run.info.status, "began": run.info.start_time,
    "params": run.data.params, "metrics": run.data.metrics, "tags": run.data.tags,
    "same": artifact.read_bytes() == (folder / "result.json").read_bytes(), "threads": threads,
}, sys.stdout)
"""


def test_mlflow_keeps_what_it_was_told(result: RunResult, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("mlflow.version")
    done = in_another_process(TO_MLFLOW, str(folder), home=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest, kept = result.manifest, json.loads(done.stdout)
    assert (kept["name"], kept["status"], kept["same"]) == (manifest.run_id, "FINISHED", True)
    assert kept["params"] == params_of(result)
    assert kept["metrics"] == pytest.approx(metrics_of(result))
    assert tags_of(result).items() <= kept["tags"].items()
    assert kept["began"] == round(manifest.started_at.timestamp() * 1000)
    assert kept["threads"] == ["MainThread"]  # none that reports to anybody


# --- Weights & Biases -------------------------------------------------------------------------

TO_WANDB = """
import sys
from pathlib import Path
from harness.config.settings import WandbTracker
from harness.runner.trackers import track
from harness.store.result import load
folder = Path(sys.argv[1])
track(WandbTracker(kind="wandb"), load(folder), folder)
"""
READ_WANDB = """
import json, sys
from wandb.proto.wandb_internal_pb2 import Record
config, summary = {}, {}
for line in sys.stdin:
    record = Record()
    record.ParseFromString(bytes.fromhex(line))
    config |= {each.key: json.loads(each.value_json) for each in record.run.config.update}
    summary |= {each.key: json.loads(each.value_json) for each in record.summary.update if each.key}
json.dump([config, summary], sys.stdout)
"""


def wandb_records(file: Path) -> Iterator[bytes]:
    """The records of an offline run: LevelDB's log format behind a header of 7 bytes."""
    content, place, record = file.read_bytes(), 7, b""
    while place + 7 <= len(content):
        left = 32_768 - place % 32_768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield record
            record = b""


def test_wandb_offline_writes_files_alone(result: RunResult, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("wandb.proto")
    done = in_another_process(TO_WANDB, str(folder), home=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (written,) = folder.glob("wandb/offline-run-*")
    kept = written / "files" / "result.json"
    assert kept.read_bytes() == BASELINE.read_bytes()
    (log,) = written.glob("*.wandb")
    lines = "\n".join(record.hex() for record in wandb_records(log))
    read = subprocess.run(
        [sys.executable, "-c", READ_WANDB], input=lines, capture_output=True, text=True, check=True
    )
    config, summary = json.loads(read.stdout)
    metrics = metrics_of(result)
    assert params_of(result).items() <= config.items()
    assert config["tags"] == tags_of(result)
    assert {name: summary[name] for name in metrics} == pytest.approx(metrics)


# --- what goes wrong --------------------------------------------------------------------------


def test_a_missing_package_is_known_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    words = r"tracker=wandb: .*pip install 'gegenprobe\[wandb\]'"
    with pytest.raises(UnavailableError, match=words):
        check_tracker(WandbTracker(kind="wandb"))
    command = ["run", "experiment=demo", "tracker=wandb", f"results_dir={tmp_path}"]
    assert main(command) == UnavailableError.exit_status
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_named_wandb_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wandb").mkdir()
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(UnavailableError):
        check_tracker(WandbTracker(kind="wandb"))


def test_a_tracker_that_fails_costs_the_run_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mlflow.version")
    command = [
        *(sys.executable, "-m", "harness", "run", "experiment=demo", "tasks=[math_mini:20]"),
        *("engine=replay", f"engine.run={GOLDEN}", f"results_dir={tmp_path}"),
        *("tracker=mlflow", "tracker.uri=nosuchstore://here"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert mentions(done.stderr, "harness: tracker=mlflow: ", "nosuchstore")
    assert "Traceback" not in done.stderr
    headline = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, headline["status"]) == (0, "complete")
    assert (Path(headline["path"]) / "result.json").is_file()
