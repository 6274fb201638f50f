"""One command, many runs: a process for each, on this machine or by a launcher, and the table."""

from harness.runner.sweep.jobs import Jobs
from harness.runner.sweep.launchers import launcher_of, sweep_folder, with_launcher
from harness.runner.sweep.model_choice import with_models
from harness.runner.sweep.resumed import use_recorded_config
from harness.runner.sweep.words import plain, words

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
