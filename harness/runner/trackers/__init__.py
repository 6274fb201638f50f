"""Where else a result can go: to MLflow or Weights & Biases, when the run is done and kept."""

from harness.runner.trackers.send import check_tracker, track

__all__ = ["check_tracker", "track"]
