"""Sends a finished result to MLflow or Weights & Biases."""

from harness.runner.trackers.send import check_tracker, track

__all__ = ["check_tracker", "track"]
