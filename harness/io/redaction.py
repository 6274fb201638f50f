"""Takes secrets out of text that is going to be shown or stored.

A secret is

- the value of an environment variable whose name says so (``HF_TOKEN``, ``AWS_SECRET_ACCESS_KEY``);
- a value that ``keep_secret`` was given, such as the key of a server;
- text in the form of a provider's keys (``sk-…``, ``hf_…``), or after ``Bearer``;
- the user part of a URL (``https://user:password@host``);
- what is assigned to a name that says so (``api_key=…``, ``?token=…``).

A value is found in the spellings that messages quote it in: without the white space at its ends,
and with its signs as Python, JSON, HTML or URLs write them.
"""

import html
import json
import logging
import os
import re
from functools import lru_cache

_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY(?:_ID)?|PRIVATE_KEY|CREDENTIALS?"
    r"|AUTHORIZATION|COOKIE)$",
    re.IGNORECASE,
)
_MIN_LENGTH = 8
"""A shorter value of a variable would be found in texts that have nothing to do with it."""
MARK = "***"

_PROVIDERS = (
    r"(?:sk|xai|pplx|csk|nvapi|glpat)-(?=[\w-]*[0-9A-Z])[\w-]{16,}",
    r"(?:hf|gsk|r8|fw|gh[opsur])_(?=[A-Za-z0-9]*[0-9A-Z])[A-Za-z0-9]{12,}",
    r"github_pat_\w{16,}",
    r"AIza[\w-]{30,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"xox[abprs]-[\w-]{10,}",
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?",
)
_SHAPES = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_PROVIDERS)})")
# Greedy up to the last @: a password may hold one. A port with a path is no password.
_IN_URL = re.compile(r"(?<=://)(?:[^\s/@]*:(?!\d+/)\S*|[^\s/?#]*)@")
_NAMES = (
    r"(?:api[_-]?key|access[_-]key|private[_-]key|secret|password|passwd|authorization|cookie"
    r"|(?:hf|hub|api|auth|access|bearer|refresh|session|github|wandb)[_-]token)"
)
"""Names whose values are secrets; ``eos_token`` and similar names are not."""
_IN_QUERY = rf"(?:(?<=[?&])(?:key|token|sig|signature|auth|code)|{_NAMES})"
_QUOTE = r"""\\*["']?"""
# After a bare name a colon is mostly that of a message; not so in a line of YAML or a header.
_IS = (
    rf"""(?:{_QUOTE}\s*=|\\*["']\s*:(?!//)|(?<=authorization):)"""
    rf"""\s*(?:b(?=["']))?{_QUOTE}"""
)
_ASSIGNED = re.compile(
    rf"""({_IN_QUERY}{_IS}(?:(?:Bearer|Basic|Token)\s+)?)[^\s"'&]+""", re.IGNORECASE
)
_NAMED = re.compile(rf"""(_key_env{_IS})([^\s"',;:}}\\]+)""")
_LINE = re.compile(
    rf"""^(\s*[\w-]*(?:{_NAMES}|(_key_env)):\s+["']?)([^\s"']+)(?=["']?\s*$)""",
    re.IGNORECASE | re.MULTILINE,
)
_IN_HEADER = re.compile(r"\b(Bearer|Basic)\s+(?=\S*[\d=])[\w+/.=~-]{12,}", re.IGNORECASE)
_KEY_IN_URL = re.compile(rf"://\S*[?&][\w-]*{_IN_QUERY}=[^\s&]", re.IGNORECASE)

_SPACE = r"(?:\s|\\+(?:[abfnrtv]|x..|u....)|(?:%..)+|\+|&#x?\w+;)+"

_kept: set[str] = set()


def keep_secret(value: str) -> None:
    """Registers a value that ``redact`` replaces from now on, in this process.

    Args:
        value: Of any length: a short one is struck out where it is a word.
    """
    if value.strip():
        _kept.add(value)


def redact(text: str) -> str:
    """The text with ``***`` in the place of each secret."""
    for _, pattern in _secrets():
        text = pattern.sub(MARK, text)
    text = _IN_URL.sub(f"{MARK}@", text)
    text = _SHAPES.sub(MARK, text)
    text = _IN_HEADER.sub(rf"\1 {MARK}", text)
    text = _ASSIGNED.sub(rf"\1{MARK}", text)
    text = _NAMED.sub(lambda found: found[1] + shown_variable(found[2]), text)
    return _LINE.sub(
        lambda found: found[1] + (shown_variable(found[3]) if found[2] else MARK), text
    )


def describe_secret(text: str) -> str | None:
    """Describes the secret in a text without repeating it; None if there is none."""
    for name, pattern in _secrets():
        if pattern.search(text):
            return f"the value of the environment variable {name}" if name else "a key"
    if _IN_URL.search(text):
        return "the user part of a URL"
    if _KEY_IN_URL.search(text):
        return "a key in a URL"
    return "a key" if _SHAPES.search(text) else None


def is_secret_name(name: str) -> bool:
    """Whether what has this name (``api_key``, ``hf_token``, ``Authorization``) is a secret."""
    return bool(re.search(rf"{_NAMES}$", name, re.IGNORECASE))


def is_variable_name(text: str) -> bool:
    """Whether a text is the name of an environment variable and nothing else.

    A key that was given in place of a name may look like a name. So a name is one that is set,
    or one that is written as names are (``EXAMPLE_API_KEY``); only such a text may be shown.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) or _SHAPES.search(text):
        return False
    return text in os.environ or bool(re.fullmatch(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", text))


def shown_variable(text: str) -> str:
    """A variable's name as given by the user, shown only if it cannot be a secret."""
    return text if is_variable_name(text) or text in {"null", "None"} else MARK


class RedactingFormatter(logging.Formatter):
    """Log lines, and their tracebacks, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record as one line, without secrets and control characters."""
        return redact(super().format(record))


def _secrets() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The patterns of secret values, each with its variable's name ("" where it has none)."""
    named = [
        (name, value)
        for name, value in os.environ.items()
        if _NAME.search(name) and len(value.strip()) >= _MIN_LENGTH
    ]
    return _patterns((*named, *(("", value) for value in sorted(_kept))))


@lru_cache(maxsize=8)
def _patterns(secrets: tuple[tuple[str, str], ...]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Patterns of the registered secrets, longest first: one may be part of another."""
    ordered = sorted(secrets, key=lambda secret: -len(secret[1]))
    return tuple((name, _pattern(value)) for name, value in ordered)


def _pattern(value: str) -> re.Pattern[str]:
    stripped = value.strip()
    # A message on one line has a blank where the value had a line break.
    found = _SPACE.join("".join(map(_spelled, word)) for word in stripped.split())
    # A short one is no secret within a word.
    return re.compile(found if len(stripped) >= _MIN_LENGTH else rf"(?<!\w){found}(?!\w)")


def _spelled(sign: str) -> str:
    """A pattern for one character, however it is escaped, and if twice over."""
    if sign.isascii() and sign.isalnum():
        return sign
    encoded = sign.encode("utf-8", "surrogateescape")
    escapes = {ascii(sign)[1:-1], json.dumps(sign)[1:-1], repr(encoded)[2:-1], f"\\{sign}"}
    spellings = [re.escape(each).replace(r"\\", r"\\+") for each in sorted(escapes)]
    percent = "".join(f"%{byte:02x}" for byte in encoded)
    other = [re.escape(sign), percent, re.escape(html.escape(sign)), r"&#x?\w+;", r"[?\ufffd]"]
    return f"(?i:{'|'.join([*spellings, *other])})"
