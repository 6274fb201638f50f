"""One command, many runs: a process for each, on this machine or by a launcher, and the table."""

from harness.run.sweep.jobs import Jobs
from harness.run.sweep.launchers import launcher_of, sweep_folder, with_launcher
from harness.run.sweep.model_choice import with_models
from harness.run.sweep.resumed import use_recorded_config
from harness.run.sweep.words import plain, words

__all__ = [
    "Jobs",
    "launcher_of",
    "plain",
    "sweep_folder",
    "use_recorded_config",
    "with_launcher",
    "with_models",
    "words",
]
