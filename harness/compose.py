"""Hydra, and nothing but Hydra: from command-line overrides to ``RunConfig``s, one for each job."""

import os
import re
import sys
from typing import TYPE_CHECKING, Any

from harness.commands.plan import Plans
from harness.config import did_you_mean, load_run_config
from harness.errors import ConfigError, HarnessError, Interrupted
from harness.paths import CONF_DIR
from harness.redaction import redact

if TYPE_CHECKING:
    from omegaconf import DictConfig

DRY_RUN = "--dry-run"
# Overrides that say where and what to continue, not what to run.
_NOT_CONTENT = ("resume=", "results_dir=", "data_dir=")
# Hydra has no class of its own for this mistake.
_AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*)'\s+1\.", re.DOTALL)


def compose_and_run(arguments: list[str]) -> int:
    """Composes the configuration and runs it, or each job of a sweep.

    A job that fails does not end the sweep; the highest exit status is returned.

    Raises:
        ConfigError: Hydra cannot compose this.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    jobs = _Jobs(is_dry_run=DRY_RUN in arguments)
    # Makes Hydra raise what went wrong instead of printing it and exiting with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before = sys.argv
    sys.argv = ["harness run", *(a for a in arguments if a != DRY_RUN)]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")(jobs.run)()
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_words(error)) from error
    finally:
        sys.argv = before
    return jobs.exit_status()


class _Jobs:
    """What Hydra calls: once, or for each job of a sweep."""

    def __init__(self, *, is_dry_run: bool) -> None:
        self._plans = Plans() if is_dry_run else None
        self._seen: list[Any] = []
        self._statuses: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        """By what went wrong, the number of the first job in which it did."""
        self._failure: BaseException | None = None
        """Raised when Hydra is done: it would print a line of its own before it."""

    def run(self, composed: "DictConfig") -> None:
        """Runs one job; what goes wrong in a sweep is printed, and the next one has its turn."""
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode
        from omegaconf import OmegaConf

        if self._failure is not None:
            return  # the rest of a sweep that was stopped
        hydra_config = HydraConfig.get()
        is_sweep = hydra_config.mode == RunMode.MULTIRUN
        overrides = [str(override) for override in hydra_config.overrides.task]
        name = " ".join(overrides)
        content = OmegaConf.to_container(composed)
        if content in self._seen:
            return  # an override took the place of what an experiment sweeps over
        self._seen.append(content)
        if is_sweep:
            _say(f"job {len(self._seen)}: {name}", is_result=self._plans is not None)
        is_bare = all(override.startswith(_NOT_CONTENT) for override in overrides)
        try:
            self._statuses[name] = _execute(
                _plain(composed), plans=self._plans, is_bare_resume=is_bare
            )
        except Interrupted as interruption:
            self._failure = interruption
        except Exception as error:  # noqa: BLE001 - said now or raised later
            self._statuses[name] = getattr(error, "exit_status", HarnessError.exit_status)
            if is_sweep:
                self._say_failure(str(error))
            else:
                self._failure = error

    def _say_failure(self, mistake: str) -> None:
        number = len(self._seen)
        first = self._failed.setdefault(mistake, number)
        _say(f"job {number}: {mistake if first == number else f'as job {first}'}")

    def exit_status(self) -> int:
        """The highest of all jobs; after a sweep what it comes to is printed.

        Raises:
            BaseException: What ended the only job, or the sweep.
        """
        if self._failure is not None:
            raise self._failure
        jobs, highest = len(self._statuses), max(self._statuses.values(), default=0)
        if jobs > 1:
            if self._plans is not None:
                self._plans.close(jobs)
            if highest and set(self._statuses.values()) == {highest}:
                _say(f"all {jobs} jobs ended with exit status {highest}")
            elif highest:
                for name, status in self._statuses.items():
                    _say(f"exit status {status}: {name}")
        return highest


def _say(line: str, *, is_result: bool = False) -> None:
    stream = sys.stdout if is_result else sys.stderr
    print(redact(f"harness: {line}"), file=stream, flush=True)


def _plain(composed: "DictConfig") -> Any:
    """The configuration without OmegaConf.

    Raises:
        ConfigError: A value is missing or refers to nothing.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(_words(error)) from error


def _execute(composed: dict[str, Any], *, plans: Plans | None, is_bare_resume: bool) -> int:
    config = load_run_config(composed)
    if plans is not None:
        plans.show(config)
        return 0
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
        case _ if ambiguous := _AMBIGUOUS.search(str(error)):
            return (
                f"{ambiguous[1]}: a sweep over several values needs -m; "
                "quote a value that has commas"
            )
        case _ if type(cause).__name__ == "MissingMandatoryValue":
            return f"{key}: must be given, as {key}=VALUE"
        case _ if key and "is not in struct" in str(cause):
            return f"{key}: no such key{did_you_mean(str(key).split('.'))}"
        case _:
            return " ".join(str(error).split())
