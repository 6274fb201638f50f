"""Sending a finished run to the tracker that its configuration names.

The run is complete and on disk before this begins: whatever goes wrong here is a warning.
"""

import contextlib
import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from harness.config.settings import MlflowTracker, NoTracker, TrackerConfig, WandbTracker
from harness.errors import UnavailableError
from harness.io.redaction import redact
from harness.runner.trackers.mlflow_tracker import send_to_mlflow
from harness.runner.trackers.wandb_tracker import send_to_wandb
from harness.store.result import RunResult

log = logging.getLogger(__name__)


def check_tracker(config: TrackerConfig) -> None:
    """Checks, before a run begins, that its tracker can be used.

    Raises:
        UnavailableError: The tracker's package is not installed.
    """
    if config.kind == "none":
        return
    spec = find_spec(config.kind)
    if spec is None or spec.origin is None:  # a folder of that name, as W&B makes them, is none
        raise UnavailableError(
            f"tracker={config.kind}: {config.kind} is not installed; "
            f"pip install 'gegenprobe[{config.kind}]' brings it, tracker=none does without"
        )


def track(config: TrackerConfig, result: RunResult, folder: Path) -> None:
    """Sends a run's result. A tracker's failure is only a warning.

    A tracker's failure is a warning and no more.

    Args:
        config: Where it is sent.
        result: Of the run.
        folder: The run's.
    """
    if isinstance(config, NoTracker):
        return
    # The command line's last word on stdout is the run's own.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            where = _send(config, result, folder)
        except Exception as error:  # noqa: BLE001 - another project's code; the run is whole
            reason = redact(" ".join(str(error).split())) or type(error).__name__
            log.warning("tracker=%s: failed; the run is complete and kept: %s", config.kind, reason)
        else:
            log.info("tracker=%s: %s", config.kind, where)


def _send(config: MlflowTracker | WandbTracker, result: RunResult, folder: Path) -> str:
    """Sends the result; returns where it is."""
    # Turns off the trackers' own usage statistics, unless the user has set these variables.
    os.environ.setdefault("DO_NOT_TRACK", "true")
    match config:
        case MlflowTracker():
            return send_to_mlflow(config, result, folder)
        case WandbTracker():
            return send_to_wandb(config, result, folder)
        case _:
            assert_never(config)
