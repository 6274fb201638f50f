"""The jobs of a sweep that is only planned: each is composed once, by Hydra itself twice."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.io.paths import CONF_DIR
from harness.runner.sweep.jobs import Jobs
from harness.runner.sweep.words import our_words

if TYPE_CHECKING:
    from omegaconf import DictConfig


def plan_jobs(jobs: Jobs, arguments: list[str]) -> None:
    """Composes all jobs, so that a mistake in one is found before the first plan, and plans them.

    Raises:
        ConfigError: Hydra cannot compose one of them.
    """
    from hydra import initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import open_dict

    with our_words(), initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        for number, composed in enumerate(list(_composed(arguments))):
            with open_dict(composed):
                composed.hydra.job.num = number
                composed.hydra.job.id = str(number)
            HydraConfig.instance().set_config(composed)
            os.environ.update({k: str(v) for k, v in composed.hydra.job.env_set.items()})
            with open_dict(composed):
                del composed["hydra"]
            jobs.run(composed)


def _composed(arguments: list[str]) -> Iterator["DictConfig"]:
    """The configuration of each job, in the order of Hydra's own sweeper."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None, "it was initialized by the caller"
    loader = hydra.config_loader
    whole = hydra.compose_config("config", arguments, RunMode.MULTIRUN)
    params = whole.hydra.sweeper.get("params") or {}
    asked = [*(f"{key}={value}" for key, value in params.items()), *whole.hydra.overrides.task]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(asked)
    for overrides in BasicSweeper.split_arguments(parsed, None)[0]:
        yield loader.load_sweep_config(whole, overrides)
