"""One command, many runs: each in its own process, here or by a launcher, and their table."""

from harness.runner.sweep.engine_choice import write_engines
from harness.runner.sweep.jobs import Jobs
from harness.runner.sweep.launchers import launcher_of, sweep_folder, with_launcher
from harness.runner.sweep.model_choice import with_models
from harness.runner.sweep.planned import plan_jobs
from harness.runner.sweep.resumed import use_recorded_config
from harness.runner.sweep.search_path import search_path, take_includes
from harness.runner.sweep.words import config_of, our_words, plain, refuse_secrets

__all__ = [
    "Jobs",
    "config_of",
    "launcher_of",
    "our_words",
    "plain",
    "plan_jobs",
    "refuse_secrets",
    "search_path",
    "sweep_folder",
    "take_includes",
    "use_recorded_config",
    "with_launcher",
    "with_models",
    "write_engines",
]
