"""Turns Hydra's configurations into plain ones, and its errors into the harness's messages."""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from harness.config.overrides import how_to_give
from harness.config.settings import RunConfig, did_you_mean, load_run_config, refuse_secret
from harness.errors import ConfigError
from harness.io.paths import conf_dirs
from harness.io.yamlfile import yaml_mistake
from harness.runner.included import with_included

if TYPE_CHECKING:
    from omegaconf import DictConfig

OPEN = (
    "engine.args.",
    "engine.extra_body.",
    "engine.headers.",
    "engine.headers_env.",
    "protocol.chat_template_kwargs.",
)
"""Below these keys, any key may be given."""
# Hydra has no separate class for this mistake.
_AMBIGUOUS = re.compile(r"Ambiguous value for argument '(.*)'\s+1\.", re.DOTALL)


def plain(composed: "DictConfig") -> Any:
    """The configuration without OmegaConf.

    Raises:
        ConfigError: A value is missing or refers to nothing.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(words(error)) from error


def config_of(composed: "DictConfig") -> RunConfig:
    """The configuration of a run that Hydra composed with its own part.

    Raises:
        ConfigError: A value is missing or wrong.
    """
    from omegaconf import flag_override

    choices = dict(composed.hydra.runtime.choices)
    with flag_override(composed, ["readonly", "struct"], False):
        del composed["hydra"]
    return with_included(load_run_config(plain(composed)), choices)


def words(error: Exception) -> str:
    """Hydra's and OmegaConf's errors in the harness's words: the key, and what would be right."""
    from hydra.errors import MissingConfigException, OverrideParseException

    cause = error.__cause__ or error
    key = getattr(cause, "full_key", None) or getattr(error, "full_key", None)
    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options:
            group, _, choice = missing.rpartition("/")
            near = ", ".join(sorted(options))
            return f"{group}={choice}: no such choice; there are {near}"
        case OverrideParseException(override=override):
            hint = f"if its value is one text, give {how_to_give(override)}"
            return f"'{override}' cannot be read as KEY=VALUE; {hint}"
        case _ if ambiguous := _AMBIGUOUS.search(str(error)):
            return (
                f"{ambiguous[1]}: a sweep over several values needs -m; "
                f"for one value with commas give {how_to_give(ambiguous[1])}"
            )
        case _ if type(cause).__name__ == "MissingMandatoryValue":
            return f"{key}: must be given, as {key}=VALUE"
        case _ if key and "is not in struct" in str(cause):
            is_new = str(key).startswith(OPEN)
            hint = (
                f"; to set a new one, give +{key}=VALUE"
                if is_new
                else did_you_mean(str(key).split("."))
            )
            return f"{key}: no such key{hint}"
        case _:
            return " ".join(str(error).split())


@contextmanager
def our_words() -> Iterator[None]:
    """Raises errors of Hydra, and of the files that it reads, as ConfigError.

    Raises:
        ConfigError: In place of theirs.
    """
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    with warnings.catch_warnings():
        # Our configuration has the name of the plugin's, and the keys that it requires.
        warnings.filterwarnings("ignore", r"\s*'hydra/launcher/ray' is validated", UserWarning)
        try:
            yield
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(words(error)) from error
        except YAMLError as error:  # it names the file
            raise ConfigError(f"no YAML: {yaml_mistake(error)}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{_not_utf8()}: no YAML: {error}") from error


def _not_utf8() -> str:
    """The first file of ``conf/``, the harness's or a user's, that is not UTF-8."""
    for file in sorted(file for folder in conf_dirs() for file in folder.rglob("*.yaml")):
        try:
            file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return str(file)
    return "conf/"


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Refuses secrets in overrides before they are printed or stored, as Hydra and launchers do.

    Raises:
        ConfigError: One holds a secret.
    """
    for argument in arguments:
        key, _, values = argument.lstrip("+~").partition("=")
        for value in values.split(",") if values else ():
            if value.strip().lower() != "null":  # Hydra's None, however it is capitalised
                refuse_secret(key, value.strip("\"' "))
