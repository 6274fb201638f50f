"""How a figure was made: what is known of it, and what a run of it must set."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from pydantic import ValidationError

from harness.config.overrides import quoted
from harness.config.settings import ProtocolConfig
from harness.errors import ConfigError, UserError
from harness.io.mistakes import first_mistake
from harness.io.paths import CONF_DIR
from harness.io.yamlfile import load_yaml, read_yaml, yaml_mistake

SETTINGS = (
    "fewshot",
    "fewshot_as_multiturn",
    "chat",
    "system_prompt",
    "temperature",
    "top_p",
    "top_k",
    "max_new_tokens",
    "stop",
    "samples_per_problem",
)
"""Settings of a protocol that can move a score and that a publication may state."""
DECISIVE = ("fewshot",)
"""Without these nothing is judged: another number of examples makes another benchmark."""
_ONE_SAMPLE = ("top_p", "top_k")
"""Settings without effect in greedy decoding."""
_MAY_DIFFER = ("samples_per_problem",)
"""More samples measure the same score better."""


def unknown_settings(known: Mapping[str, Any]) -> tuple[str, ...]:
    """Settings that matter for this figure and are unknown."""
    without_effect = _without_effect(known)
    return tuple(name for name in SETTINGS if name not in known and name not in without_effect)


def _without_effect(known: Mapping[str, Any]) -> set[str]:
    """Settings that can move no score, given the others."""
    found: set[str] = set()
    if known.get("temperature") == 0:
        found |= {*_ONE_SAMPLE, "samples_per_problem"}
    if known.get("fewshot") == 0 or known.get("chat") is False:
        found.add("fewshot_as_multiturn")
    return found


def value_in(protocol: ProtocolConfig, name: str) -> Any:
    """A setting as a run has it, in the form in which a figure's is known."""
    if name == "fewshot_as_multiturn":
        return protocol.has_turns
    return getattr(protocol, name)


def differing(known: Mapping[str, Any], protocol: ProtocolConfig) -> list[str]:
    """How the protocol of a run differs from that of the figure."""
    skipped = {*_MAY_DIFFER, *_without_effect(known)}
    return [
        f"other protocol: {name} {value_in(protocol, name)!r} and not {value!r}"
        for name, value in known.items()
        if name not in skipped and value_in(protocol, name) != value
    ]


def overrides(known: Mapping[str, Any]) -> list[str]:
    """Arguments of ``harness run`` that set what is known and has an effect."""
    skipped = _without_effect(known)
    return [
        f"protocol.{name}={_spelled(value)}" for name, value in known.items() if name not in skipped
    ]


def _spelled(value: Any) -> str:
    """A value as Hydra reads it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value, '"')
    if isinstance(value, tuple | list):
        return f"[{','.join(_spelled(each) for each in value)}]"
    return "null" if value is None else f"{value}"


def possible(stated: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Divides the protocol values of a file into valid settings and the rest.

    Returns:
        The settings, and for each of the others ``top_p=0: why not``.
    """
    known, impossible = {}, []
    for name, value in stated.items():
        try:
            known[name] = _validated(name, _off_is_none(name, value))
        except ValidationError as error:
            impossible.append(f"{name}={value}: {first_mistake(error).text}")
    return known, impossible


def _off_is_none(name: str, value: Any) -> Any:
    """0 and -1 are how others write that ``top_k`` is off."""
    return None if name == "top_k" and value in (0, -1) else value


def assumed(given: Sequence[str]) -> dict[str, Any]:
    """Parses the protocol settings that a user knows: ``fewshot=0``.

    Raises:
        UserError: No setting of this name, or a value that it cannot have.
    """
    found: dict[str, Any] = {}
    for each in given:
        name, mark, text = each.partition("=")
        if name not in SETTINGS or not mark:
            raise UserError(
                f"--assume {each}: should be SETTING=VALUE; settings are {', '.join(SETTINGS)}"
            )
        found[name] = _valid(name, text)
    return found


def _valid(name: str, text: str) -> Any:
    """The value, as ``protocol.NAME`` has it."""
    try:
        return _validated(name, load_yaml(text))
    except ValidationError as error:
        raise UserError(f"--assume {name}={text}: {first_mistake(error).text}") from error
    except yaml.YAMLError as error:
        raise UserError(f"--assume {name}={text}: no YAML: {yaml_mistake(error)}") from error


def _validated(name: str, value: Any) -> Any:
    return value_in(ProtocolConfig.model_validate({**_greedy(), name: value}), name)


@cache
def _greedy() -> Mapping[str, Any]:
    found: dict[str, Any] = read_yaml(
        CONF_DIR / "protocol" / "greedy.yaml", "protocol/greedy.yaml", ConfigError
    )
    return found
