"""Hydra, and nothing but Hydra: from command-line overrides to ``RunConfig``s, one for each job."""

import os
import sys
from typing import Any

from harness.config import did_you_mean, load_run_config
from harness.errors import ConfigError, HarnessError, Interrupted
from harness.paths import CONF_DIR

DRY_RUN = "--dry-run"
# Overrides that say where and what to continue, not what to run.
_NOT_CONTENT = ("resume=", "results_dir=", "data_dir=")


def compose_and_run(arguments: list[str]) -> int:
    """Composes the configuration and runs it, or each job of a sweep.

    A job that fails does not end the sweep; the highest exit status is returned.

    Raises:
        ConfigError: Hydra cannot compose this.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    is_dry_run = DRY_RUN in arguments
    statuses: list[int] = []
    failures: list[BaseException] = []

    def job(composed: DictConfig) -> None:
        if any(isinstance(failure, Interrupted) for failure in failures):
            return  # the rest of a sweep that was stopped
        hydra_config = HydraConfig.get()
        overrides = [str(override) for override in hydra_config.overrides.task]
        is_bare = all(override.startswith(_NOT_CONTENT) for override in overrides)
        try:
            plain: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
            statuses.append(_execute(plain, is_dry_run=is_dry_run, is_bare_resume=is_bare))
        except (Exception, Interrupted) as error:  # noqa: BLE001
            # Raised later: Hydra would print a line of its own before it.
            failure = error
            if isinstance(error, OmegaConfBaseException):
                failure = ConfigError(_words(error))
            failures.append(failure)
            statuses.append(getattr(failure, "exit_status", HarnessError.exit_status))
            if hydra_config.mode == RunMode.MULTIRUN:
                print(f"harness: {' '.join(overrides)}: {failure}", file=sys.stderr)  # noqa: T201

    # Makes Hydra raise what went wrong instead of printing it and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before = sys.argv
    sys.argv = ["harness run", *(a for a in arguments if a != DRY_RUN)]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_words(error)) from error
    finally:
        sys.argv = before
    if failures and (len(statuses) == 1 or isinstance(failures[-1], Interrupted)):
        raise failures[-1]
    return max(statuses, default=0)


def _execute(composed: dict[str, Any], *, is_dry_run: bool, is_bare_resume: bool) -> int:
    config = load_run_config(composed)
    if is_dry_run:
        from harness.commands.plan import plan

        return plan(config)
    from harness.commands.run import run

    return run(config, is_bare_resume=is_bare_resume and config.resume is not None)


def _words(error: Exception) -> str:
    """Hydra's and OmegaConf's errors in our words: the key, and what would be right."""
    from hydra.errors import MissingConfigException, OverrideParseException

    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None) or getattr(error, "full_key", None)
    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options:
            group, _, choice = missing.rpartition("/")
            near = ", ".join(sorted(options))
            return f"{group}={choice}: no such choice; there are {near}"
        case OverrideParseException(override=override):
            return f"'{override}' cannot be read as KEY=VALUE; quote brackets and spaces"
        case _ if type(cause).__name__ == "MissingMandatoryValue":
            return f"{key}: must be given, as {key}=VALUE"
        case _ if key and "is not in struct" in str(cause):
            return f"{key}: no such key{did_you_mean(str(key).split('.'))}"
        case _:
            return " ".join(str(error).split())
