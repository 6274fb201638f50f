"""``harness run resume=RUN KEY=VALUE …``: the recorded configuration with these values.

Hydra would compose all of ``conf/`` anew, with defaults for every key that the command does not
repeat.

Hydra would compose all of ``conf/`` anew, and every key that the command does not repeat would
have its default.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.config.settings import RunConfig, load_run_config
from harness.errors import ConfigError
from harness.io.paths import conf_dirs, conf_file, conf_files, default_results_dir
from harness.runner.decisions import find_resumed
from harness.runner.included import include_again, with_included
from harness.runner.sweep.words import words

AUTO = "auto"
CHOSEN_ALONE = frozenset({"engine", "model", "pricing", "protocol", "tracker"})
"""Groups whose files set only keys of their own group. Other groups set several, so a command that
chooses an experiment or a suite is composed by Hydra."""

_HYDRAS = ("hydra.", "hydra/")


def use_recorded_config(overrides: Sequence[str], choices: Path | None = None) -> RunConfig | None:
    """The configuration of the run that ``resume`` names, changed by the overrides.

    Args:
        overrides: ``KEY=VALUE`` as Hydra reads them, and ``GROUP=CHOICE``. Those of Hydra itself
            are left out: they are no part of a run's configuration.
        choices: Where ``with_models`` has written choices that ``conf/`` does not have.

    Returns:
        None where the command continues no run by name, or chooses an experiment or a suite.

    Raises:
        ConfigError: An override cannot be read, or gives a value that is wrong.
        StoreError: There is no such run.
        UnavailableError: A folder of the user's that it was made with is not there.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    if not any(each.startswith("resume=") for each in overrides):
        return None
    try:
        parsed = [
            each
            for each in OverridesParser.create().parse_overrides(list(overrides))
            if not each.key_or_group.startswith(_HYDRAS)
        ]
        # Groups first, as Hydra does: a single value holds whatever its group says.
        parsed.sort(key=lambda each: not _is_group(each.key_or_group))
        given = {each.key_or_group: each.value() for each in parsed}
        name = given["resume"]
        groups = {key for key in given if _is_group(key)}
        if name in {None, AUTO} or groups - CHOSEN_ALONE or not all(map(_sets_a_value, parsed)):
            return None
        config = OmegaConf.create(_recorded(str(name), given.get("results_dir")))
        for each in parsed:
            key = each.key_or_group
            if key in groups:
                choice = OmegaConf.load(_choice(key, each.value(), choices))
                OmegaConf.update(config, key, choice, merge=False)
            else:
                OmegaConf.update(config, key, each.value())
        content: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(words(error)) from error
    return with_included(load_run_config(content), {key: given[key] for key in groups})


def _recorded(name: str, results_dir: Any) -> dict[str, Any]:
    where = default_results_dir() if results_dir is None else Path(str(results_dir)).expanduser()
    config = find_resumed(name, where).read_manifest().config
    include_again(config.included)
    return {**config.model_dump(mode="json"), "resume": name, "results_dir": None, "retry": None}


def _sets_a_value(override: Any) -> bool:
    return not override.is_delete() and not override.is_sweep_override()


def _is_group(key: str) -> bool:
    return any((folder / key).is_dir() for folder in conf_dirs())


def _choice(group: str, name: Any, choices: Path | None) -> Path:
    """The file of a group's choice."""
    if (known := conf_file(group, str(name))) is not None:
        return known
    if choices is not None and (file := choices / group / f"{name}.yaml").is_file():
        return file
    names = ", ".join(conf_files(group))
    raise ConfigError(f"{group}={name}: no such choice; there are {names}")
