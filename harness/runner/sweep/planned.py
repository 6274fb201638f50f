"""The jobs of a sweep that is only planned: each is composed once, by Hydra itself twice."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.io.paths import CONF_DIR
from harness.runner.sweep.jobs import Jobs
from harness.runner.sweep.words import our_words

if TYPE_CHECKING:
    from omegaconf import DictConfig


def plan_jobs(jobs: Jobs, arguments: list[str]) -> bool:
    """Composes all jobs, so that a mistake in one is found before the first plan, and plans them.

    Returns:
        Whether it did: False, with nothing planned, where the configuration chooses another sweeper
        than Hydra's own.

    Raises:
        ConfigError: Hydra cannot compose one of them.
    """
    from hydra import initialize_config_dir
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.utils import env_override
    from omegaconf import open_dict

    with our_words(), initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        found = _composed(arguments)
        if found is None:
            return False
        for number, composed in enumerate(list(found)):
            with open_dict(composed):
                composed.hydra.job.num = number
                composed.hydra.job.id = str(number)
            HydraConfig.instance().set_config(composed)
            variables = {k: str(v) for k, v in composed.hydra.job.env_set.items()}
            with open_dict(composed):
                del composed["hydra"]
            with env_override(variables):
                jobs.run(composed)
    return True


def _composed(arguments: list[str]) -> Iterator["DictConfig"] | None:
    """The configuration of each job, in the order of Hydra's own sweeper; None for another one."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.types import RunMode

    hydra = GlobalHydra.instance().hydra
    assert hydra is not None, "it was initialized by the caller"
    loader = hydra.config_loader
    whole = hydra.compose_config("config", arguments, RunMode.MULTIRUN)
    if whole.hydra.sweeper["_target_"] != f"{BasicSweeper.__module__}.{BasicSweeper.__qualname__}":
        return None
    params = whole.hydra.sweeper.get("params") or {}
    asked = [*(f"{key}={value}" for key, value in params.items()), *whole.hydra.overrides.task]
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(asked)
    jobs = BasicSweeper.split_arguments(parsed, None)[0]
    return (loader.load_sweep_config(whole, overrides) for overrides in jobs)
