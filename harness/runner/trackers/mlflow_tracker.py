"""Sends results to MLflow through its client, without global settings or output.

``mlflow-skinny`` is enough for a folder or a server; ``sqlite:///`` needs SQLAlchemy and alembic,
which the full ``mlflow`` installs.

``mlflow-skinny`` is enough for a folder or a server; ``sqlite:///`` needs SQLAlchemy and alembic,
which the whole ``mlflow`` brings.
"""

import os
from datetime import datetime
from itertools import islice
from pathlib import Path

from harness.config.settings import MlflowTracker
from harness.runner.trackers.flat import metrics_of, params_of, tags_of
from harness.store.result import RESULT_FILE, RunResult

# What the server takes at once, by MLflow's REST API.
_METRICS_AT_ONCE = 1000
_PARAMS_AT_ONCE = 100
_PARAM_LENGTH = 6000


def send_to_mlflow(config: MlflowTracker, result: RunResult, folder: Path) -> str:
    """Writes one run; returns where it is.

    Raises:
        Exception: Anything of MLflow's.
    """
    # Read when mlflow is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # MLflow 3 calls its file store finished and refuses it without this.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    # A server that is away costs half a minute, not a quarter of an hour.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    manifest, results_dir = result.manifest, folder.parent.parent
    began_ms = _ms(manifest.started_at)
    ended_ms = _ms(manifest.finished_at or manifest.started_at)
    uri = config.uri or os.environ.get("MLFLOW_TRACKING_URI") or (results_dir / "mlruns").as_uri()
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(config.experiment)
    experiment = found.experiment_id if found else client.create_experiment(config.experiment)
    tags = {**tags_of(result), "mlflow.source.name": "gegenprobe"}
    if commit := manifest.provenance.git_commit:
        tags["mlflow.source.git.commit"] = commit
    run = client.create_run(experiment, began_ms, tags, manifest.run_id).info.run_id
    status = "FAILED"
    try:
        params = iter(
            [Param(name, text[:_PARAM_LENGTH]) for name, text in params_of(result).items()]
        )
        while batch := list(islice(params, _PARAMS_AT_ONCE)):
            client.log_batch(run, params=batch)
        metrics = iter([Metric(name, v, ended_ms, 0) for name, v in metrics_of(result).items()])
        while measured := list(islice(metrics, _METRICS_AT_ONCE)):
            client.log_batch(run, metrics=measured)
        client.log_artifact(run, str(folder / RESULT_FILE))
        status = "FINISHED"
    finally:
        client.set_terminated(run, status, ended_ms)
    return f"run {run} of experiment {config.experiment} in {uri}"


def _ms(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
