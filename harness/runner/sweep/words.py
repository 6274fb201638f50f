"""Hydra's configurations without Hydra, and its mistakes in our words."""

import re
from typing import TYPE_CHECKING, Any

from harness.config.overrides import how_to_give
from harness.config.settings import did_you_mean
from harness.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

OPEN = (
    "engine.args.",
    "engine.extra_body.",
    "engine.headers.",
    "engine.headers_env.",
    "protocol.chat_template_kwargs.",
)
"""Below these any key may be given."""
# Hydra has no class of its own for this mistake.
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


def words(error: Exception) -> str:
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
