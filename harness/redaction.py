"""Takes secrets out of text that is going to be shown or stored.

A secret is the value of an environment variable whose name says so (``HF_TOKEN``,
``AWS_SECRET_ACCESS_KEY`` …), or the user part of a URL (``https://user:password@host``).
"""

import logging
import os
import re

_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY(?:_ID)?|PRIVATE_KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_MIN_LENGTH = 8
"""A shorter value would be found in texts that have nothing to do with it."""
_IN_URL = re.compile(r"(?<=://)[^/\s@]+(?=@)")


def redact(text: str) -> str:
    """The text with ``***`` in the place of each secret."""
    for value in _secrets().values():
        text = text.replace(value, "***")
    return _IN_URL.sub("***", text)


def why_secret(text: str) -> str | None:
    """What secret is in a text, in a few words that do not repeat it; None for none."""
    for name, value in _secrets().items():
        if value in text:
            return f"the value of the environment variable {name}"
    return "the user part of a URL" if _IN_URL.search(text) else None


class RedactingFormatter(logging.Formatter):
    """Log lines, and their tracebacks, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redact(super().format(record))


def _secrets() -> dict[str, str]:
    """By the variable's name, the longest first: one may be a part of another."""
    found = {
        name: value
        for name, value in os.environ.items()
        if _NAME.search(name) and len(value) >= _MIN_LENGTH
    }
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))
