"""One command, many runs: a process for each, on this machine or by a launcher, and the table."""

from harness.sweep.jobs import Jobs
from harness.sweep.launchers import launcher_of, sweep_folder, with_launcher
from harness.sweep.model_choice import with_models
from harness.sweep.resumed import recorded_with
from harness.sweep.words import words

__all__ = [
    "Jobs",
    "launcher_of",
    "recorded_with",
    "sweep_folder",
    "with_launcher",
    "with_models",
    "words",
]
