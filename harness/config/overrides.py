"""Overrides (``KEY=VALUE``): texts that Hydra's grammar does not take are put in quotes for it."""

import re
import shlex

_OVERRIDE = re.compile(r"([+~]{0,2}[\w./@:-]+)=(.+)", re.DOTALL)
_STRUCTURED = re.compile(r"[\[{'\"]|\w+\(")
"""Begins like a list, a dictionary, a quoted text or a function: what was meant is not certain."""


def quoted(value: str, mark: str = "'") -> str:
    """A text in quotes, as Hydra reads it back.

    Args:
        value: The text.
        mark: Of the two kinds of quotes, the one to use.
    """
    # A backslash counts only before a quote: there each is written twice.
    escaped = re.sub(
        rf"(\\*)({mark}|\Z)",
        lambda found: found[1] * 2 + found[2].replace(mark, f"\\{mark}"),
        value,
    )
    return f"{mark}{escaped}{mark}"


def as_typed(key: str, value: str) -> str:
    """An override whose value is a text, quoted for a shell."""
    return shlex.quote(f"{key}={quoted(value)}")


def readable(argument: str, *, is_sweep: bool) -> str:
    """An argument of ``harness run`` for Hydra.

    A value that Hydra cannot read, such as a path with ``=`` or ``#``, is put in quotes where it
    can only be one text. Anything else is unchanged, mistakes too.

    Args:
        argument: As it was given.
        is_sweep: Commas separate values.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    found = _OVERRIDE.fullmatch(argument)
    if found is None or _STRUCTURED.match(found[2]) or (is_sweep and "," in found[2]):
        return argument
    try:
        value = OverridesParser.create().parse_override(argument).value()
    except HydraException:
        return f"{found[1]}={quoted(found[2])}"
    is_stripped = isinstance(value, str) and value == found[2].strip() != found[2]
    return f"{found[1]}={quoted(found[2])}" if is_stripped else argument


def text_of(argument: str) -> str:
    """The value of an override, as text."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return str(OverridesParser.create().parse_override(readable(argument, is_sweep=False)).value())


def how_to_give(override: str) -> str:
    """The line that works for an override that cannot be read, if its value is one text."""
    key, is_given, value = override.partition("=")
    return as_typed(key, value) if is_given else "KEY=VALUE"
