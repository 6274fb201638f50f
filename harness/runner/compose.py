"""Composes command-line overrides into one run or the jobs of a sweep."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from harness.config.overrides import readable
from harness.config.settings import RunConfig
from harness.errors import ConfigError, HarnessError, Interrupted
from harness.io.paths import CONF_DIR
from harness.io.redaction import redact
from harness.runner.hand_over import hand_over
from harness.runner.plan import Plans
from harness.runner.run import run
from harness.runner.sweep import (
    Jobs,
    config_of,
    launcher_of,
    our_words,
    plan_jobs,
    refuse_secrets,
    search_path,
    sweep_folder,
    take_includes,
    use_recorded_config,
    with_launcher,
    with_models,
    write_engines,
)

log = logging.getLogger(__name__)

DRY_RUN = "--dry-run"
_FOR_HYDRA = ("-", "hydra.mode=MULTIRUN")
"""Prefixes of arguments that only Hydra can handle: its options, and sweeps."""
_SWEEPS = {"-m", "--multirun"}


def compose_and_run(arguments: list[str]) -> int:
    """Composes the configuration and runs it, or each job of a sweep.

    A job that fails does not end the sweep; then the highest exit status is returned.

    Raises:
        ConfigError: Hydra cannot compose this, or an override holds a secret.
        UnavailableError: The launcher that was asked for is not installed.
    """
    refuse_secrets(arguments)
    arguments = take_includes(arguments)
    is_dry_run = DRY_RUN in arguments
    is_sweep = bool(_SWEEPS & set(arguments))
    given = [readable(each, is_sweep=is_sweep) for each in arguments if each != DRY_RUN]
    with sweep_folder(given, is_dry_run=is_dry_run) as folder:
        composable = _composable(given, folder)
        arguments = with_launcher(composable, folder, is_dry_run=is_dry_run)
        if not any(each.startswith(_FOR_HYDRA) for each in given):
            config = use_recorded_config(composable, folder / "conf") or _single_run(arguments)
            if config is not None:
                return _plan(config) if is_dry_run else hand_over(run(config))
        is_elsewhere = launcher_of(arguments) is not None
        jobs = Jobs(folder, is_dry_run=is_dry_run, is_elsewhere=is_elsewhere)
        if is_elsewhere:
            lost = _launch(jobs, arguments, folder)
            return max(lost, jobs.close())
        words = [each for each in arguments if each not in _SWEEPS]
        has_options = any(each.startswith("-") for each in given if each not in _SWEEPS)
        if not is_dry_run or has_options or not plan_jobs(jobs, words):
            _sweep(jobs, arguments)
        return jobs.close()


def compose_one(overrides: list[str]) -> RunConfig:
    """The configuration of one run.

    Raises:
        ConfigError: Hydra cannot compose this, an override holds a secret, or it is a sweep.
    """
    refuse_secrets(overrides)
    given = [readable(each, is_sweep=False) for each in take_includes(overrides)]
    with sweep_folder(given, is_dry_run=False) as folder, _without_hydras_state():
        composable = _composable(given, folder)
        config = use_recorded_config(composable, folder / "conf") or _single_run(composable)
    if config is None:
        raise ConfigError("this is a sweep over several runs; start one run at a time")
    if config.is_divided:
        raise ConfigError(
            f"shards={config.shards}: several workers need separate processes; use the command "
            "harness run, or give each its shard"
        )
    return config


def _composable(given: list[str], folder: Path) -> list[str]:
    """The arguments in the form that Hydra composes; ``folder`` is this command's."""
    write_engines(given, folder / "conf")
    return [*with_models(given, folder / "conf"), *search_path(folder / "conf")]


@contextmanager
def _without_hydras_state() -> Iterator[None]:
    """Restores Hydra's global state for a program that uses Hydra itself."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.singleton import Singleton

    state = Singleton.get_state()
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        Singleton.set_state(state)


def _plan(config: RunConfig) -> int:
    Plans().show(config)
    return 0


def _single_run(arguments: list[str]) -> RunConfig | None:
    """The configuration of one run; None if its experiment sweeps over several.

    Raises:
        ConfigError: Hydra cannot compose this, or a value is wrong.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    with our_words(), initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None, "it was initialized here"
        try:
            composed = hydra.compose_config("config", arguments, RunMode.RUN)
        except (HydraException, OmegaConfBaseException):
            # An experiment that sweeps takes several values where one run takes one.
            if hydra.get_mode("config", arguments) == RunMode.MULTIRUN:
                return None
            raise
        if composed.hydra.mode == RunMode.MULTIRUN:
            return None
        HydraConfig.instance().set_config(composed)
        os.environ.update({key: str(value) for key, value in composed.hydra.job.env_set.items()})
        return config_of(composed)


def _launch(jobs: Jobs, arguments: list[str], folder: Path) -> int:
    """Runs the jobs with a launcher; returns 1 if it lost one, else 0."""
    try:
        _sweep(jobs, arguments)
    except HarnessError:
        raise
    except Interrupted:
        log.warning("launched jobs may keep running; their reports will be in %s", folder)
        raise
    except Exception as error:  # noqa: BLE001 - the other jobs still report
        text = redact(" ".join(str(error).split()))[:500]
        log.error("the launcher lost a job: %s: %s", type(error).__name__, text)
        return HarnessError.exit_status
    return 0


def _sweep(jobs: Jobs, arguments: list[str]) -> None:
    """Lets Hydra create the jobs of a sweep, or print the configuration (``--cfg``)."""
    import hydra

    main = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
    shown = io.StringIO()  # by --cfg: what files of the user's hold, too
    aside = redirect_stdout(shown) if "--cfg" in arguments else nullcontext()
    with _arguments(arguments), our_words(), aside:
        main(jobs.run)()
    print(redact(shown.getvalue()), end="")  # noqa: T201


@contextmanager
def _arguments(arguments: list[str]) -> Iterator[None]:
    before = sys.argv
    # Makes Hydra raise what went wrong instead of printing it and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["harness run", *arguments]
    try:
        yield
    finally:
        sys.argv = before
