"""Hydra's launchers: which exist, what they need, and where their jobs report."""

import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from harness.config.overrides import quoted, text_of
from harness.errors import StoreError, UnavailableError
from harness.io.paths import default_results_dir

_KEY = "hydra/launcher="
_SUBMITIT = ("hydra_plugins.hydra_submitit_launcher", "slurm")
_RAY = ("hydra_plugins.hydra_ray_launcher", "ray")
_NEEDS = {
    "slurm": _SUBMITIT,
    "slurm_local": _SUBMITIT,
    "submitit_slurm": _SUBMITIT,
    "submitit_local": _SUBMITIT,
    "ray": _RAY,
}
"""By launcher: the module, and the extra that installs it."""


def launcher_of(arguments: Sequence[str]) -> str | None:
    """The requested launcher; None for Hydra's own, which runs one job after another."""
    asked = [each.removeprefix(_KEY) for each in arguments if each.startswith(_KEY)]
    return asked[-1] if asked and asked[-1] != "basic" else None


def with_launcher(arguments: Sequence[str], folder: Path, *, is_dry_run: bool) -> list[str]:
    """The arguments for Hydra: a launcher keeps its files in the sweep's folder.

    A plan is made here, whatever launcher would run it.

    A plan is made here, whatever would run it.

    Raises:
        UnavailableError: The launcher is not installed; names the extra.
    """
    launcher = launcher_of(arguments)
    if launcher is None:
        return list(arguments)
    if is_dry_run:
        names = (_KEY, "hydra.launcher.")
        return [each for each in arguments if not each.lstrip("+~").startswith(names)]
    module, extra = _NEEDS.get(launcher, (None, ""))
    if module is not None and not _is_there(module):
        raise UnavailableError(
            f"{_KEY}{launcher}: its package is not installed; pip install 'gegenprobe[{extra}]'"
        )
    return [*arguments, f"hydra.sweep.dir={quoted(str(folder))}"]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False


@contextmanager
def sweep_folder(arguments: Sequence[str], *, is_dry_run: bool) -> Iterator[Path]:
    """The folder in which jobs report their outcome.

    With a launcher it is under ``results_dir``, which all machines see, and stays: the launcher's
    logs are in it. Otherwise it is temporary.

    Under ``results_dir``, which all machines see, where a launcher runs them, and then it stays:
    the launcher's logs are in it. Else a folder that goes.

    Raises:
        StoreError: It cannot be made.
    """
    if is_dry_run or launcher_of(arguments) is None:
        with tempfile.TemporaryDirectory(prefix="gegenprobe-sweep-") as scratch:
            yield Path(scratch)
        return
    named = [text_of(each) for each in arguments if each.startswith("results_dir=")]
    results = Path(named[-1]).expanduser().resolve() if named else default_results_dir()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    folder = results / ".sweeps" / f"{stamp}_{secrets.token_hex(3)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"results_dir={results}: cannot be written ({error.strerror})") from error
    yield folder
