"""Hydra, and nothing but Hydra: from command-line overrides to the jobs that they describe."""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from harness.config.overrides import readable
from harness.config.settings import refuse_secret
from harness.errors import ConfigError, HarnessError, Interrupted
from harness.io.paths import CONF_DIR
from harness.io.redaction import redact
from harness.io.yamlfile import yaml_mistake
from harness.run.sweep import (
    Jobs,
    launcher_of,
    recorded_with,
    sweep_folder,
    with_launcher,
    with_models,
    words,
)

log = logging.getLogger(__name__)

DRY_RUN = "--dry-run"
_FOR_HYDRA = ("-", "hydra.mode=MULTIRUN")
"""How an argument begins that Hydra has to carry out: an option, or a sweep."""


def compose_and_run(arguments: list[str]) -> int:
    """Composes the configuration and runs it, or each job of a sweep.

    A job that fails does not end the sweep; the highest exit status is returned.

    Raises:
        ConfigError: Hydra cannot compose this, or an override holds a secret.
        UnavailableError: The launcher that was asked for is not installed.
    """
    _refuse_secrets(arguments)
    is_dry_run = DRY_RUN in arguments
    is_sweep = bool({"-m", "--multirun"} & set(arguments))
    given = [readable(each, is_sweep=is_sweep) for each in arguments if each != DRY_RUN]
    with sweep_folder(given, is_dry_run=is_dry_run) as folder:
        composable = with_models(given, folder / "conf")
        arguments = with_launcher(composable, folder, is_dry_run=is_dry_run)
        is_elsewhere = launcher_of(arguments) is not None
        jobs = Jobs(folder, is_dry_run=is_dry_run, is_elsewhere=is_elsewhere)
        if not is_elsewhere:
            is_for_hydra = any(each.startswith(_FOR_HYDRA) for each in given)
            resumed = None if is_for_hydra else recorded_with(composable, folder / "conf")
            if resumed is None:
                _compose(jobs, arguments)
            else:
                jobs.run_one(resumed)
            return jobs.close()
        lost = _launch(jobs, arguments, folder)
        return max(lost, jobs.close())


def _refuse_secrets(arguments: list[str]) -> None:
    """Before anybody prints or stores an override: Hydra and its launchers do both.

    Raises:
        ConfigError: One holds a secret.
    """
    for argument in arguments:
        key, _, values = argument.lstrip("+~").partition("=")
        for value in values.split(",") if values else ():
            if value.strip().lower() != "null":  # Hydra's None, however it is capitalised
                refuse_secret(key, value.strip("\"' "))


def _launch(jobs: Jobs, arguments: list[str], folder: Path) -> int:
    """Has the jobs run by a launcher; returns 1 if it lost one, else 0."""
    try:
        _compose(jobs, arguments)
    except HarnessError:
        raise
    except Interrupted:
        log.warning("what was launched may go on; what becomes of it will stand in %s", folder)
        raise
    except Exception as error:  # noqa: BLE001 - the other jobs have their say
        text = redact(" ".join(str(error).split()))[:500]
        log.error("the launcher lost a job: %s: %s", type(error).__name__, text)
        return HarnessError.exit_status
    return 0


def _compose(jobs: Jobs, arguments: list[str]) -> None:
    """Hands the jobs to Hydra."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    main = hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
    with _arguments(arguments), warnings.catch_warnings():
        # Ours has the name of the plugin's, and the keys that it asks for.
        warnings.filterwarnings("ignore", r"\s*'hydra/launcher/ray' is validated", UserWarning)
        shown = io.StringIO()  # by --cfg: what files of the user's hold, too
        try:
            with redirect_stdout(shown) if "--cfg" in arguments else nullcontext():
                main(jobs.run)()
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(words(error)) from error
        except YAMLError as error:  # it names the file
            raise ConfigError(f"no YAML: {yaml_mistake(error)}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{_not_utf8()}: no YAML: {error}") from error
    print(redact(shown.getvalue()), end="")  # noqa: T201


def _not_utf8() -> str:
    """The first file of ``conf/`` that is not UTF-8."""
    for file in sorted(CONF_DIR.rglob("*.yaml")):
        try:
            file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return str(file)
    return str(CONF_DIR)


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
