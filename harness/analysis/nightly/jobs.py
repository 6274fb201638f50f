"""The jobs of a night: one ``harness run`` for each combination of swept values."""

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from harness.config.overrides import readable
from harness.config.settings import RunConfig
from harness.errors import UserError
from harness.io.paths import CONF_DIR
from harness.runner.sweep import (
    config_of,
    our_words,
    plain,
    refuse_secrets,
    search_path,
    take_includes,
    write_engines,
)

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

EXPERIMENT = "nightly"
_REFUSED = {
    "results_dir": "give --results-dir",
    "resume": "a night begins new runs; harness run resume=RUN continues an old one",
}


class Job(NamedTuple):
    """One run of the night."""

    label: str
    """The model's name, with what distinguishes this job from the night's other jobs."""
    overrides: tuple[str, ...]
    config: RunConfig


def jobs_of(overrides: Sequence[str]) -> list[Job]:
    """Composes every run of the night, so that a mistake is found before the first begins.

    Args:
        overrides: As for ``harness run``; values separated by commas are swept over, as are those
            that the experiment sweeps over. Without ``experiment=`` it is ``nightly``.

    Raises:
        ConfigError: Hydra cannot compose it, the configuration is wrong, or it holds a secret.
        UserError: An override is none that a night can have, or two jobs are the same.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    refuse_secrets(overrides)
    overrides = [readable(each, is_sweep=True) for each in take_includes(overrides)]
    if not any(override.startswith("experiment=") for override in overrides):
        overrides = [f"experiment={EXPERIMENT}", *overrides]
    GlobalHydra.instance().clear()  # of an earlier run in this process
    with (
        our_words(),
        initialize_config_dir(str(CONF_DIR), version_base="1.3"),
        tempfile.TemporaryDirectory(prefix="gegenprobe-nightly-") as scratch,
    ):
        write_engines(overrides, Path(scratch, "conf"))
        searched = search_path(Path(scratch, "conf"))
        fixed, swept = _sorted_out(overrides)
        first = [choices[0] for choices in swept.values()]
        base = _composed([*fixed, *first, *searched])
        params = plain(base.hydra.sweeper).get("params") or {}
        given = {override.partition("=")[0] for override in fixed}
        _, more = _sorted_out([f"{key}={value}" for key, value in params.items()])
        swept = {**{k: v for k, v in more.items() if k not in given}, **swept}
        jobs = []
        for choice in itertools.product(*swept.values()):
            config = config_of(_composed([*fixed, *choice, *searched]))
            label = _label(config.model.name, fixed, choice)
            jobs.append(Job(label, (*fixed, *choice), config))
    labels = [job.label for job in jobs]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise UserError(f"{', '.join(twice)}: names two of the night's runs; give each only once")
    return jobs


def _composed(overrides: list[str]) -> "DictConfig":
    from hydra import compose

    return compose("config", overrides, return_hydra_config=True)


def _sorted_out(overrides: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Overrides of one value, and by key the choices of those of several."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    fixed: list[str] = []
    swept: dict[str, list[str]] = {}
    for text, parsed in zip(
        overrides, OverridesParser.create().parse_overrides(list(overrides)), strict=True
    ):
        key = parsed.key_or_group
        if key in _REFUSED:
            raise UserError(f"{text}: {_REFUSED[key]}")
        if parsed.is_sweep_override():
            swept[key] = [f"{_key(parsed)}={value}" for value in parsed.sweep_string_iterator()]
        else:
            fixed.append(text)
    return fixed, swept


def _key(parsed: "Override") -> str:
    return str(parsed.get_key_element())


def _label(model: str, fixed: Sequence[str], choice: Sequence[str]) -> str:
    experiments = [f.partition("=")[2] for f in fixed if f.startswith("experiment=")]
    parts = [name for name in experiments if name != EXPERIMENT]
    parts += [each for each in choice if not each.startswith(("model=", "experiment="))]
    parts += [e.partition("=")[2] for e in choice if e.startswith("experiment=")]
    return f"{model} ({', '.join(parts)})" if parts else model
