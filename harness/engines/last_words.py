"""Reads from vLLM's log why it ended."""

import re

from harness.io.redaction import redact

PORT_TAKEN = "address already in use"
# vLLM puts the process, the level and the place in the source before its words.
_PREFIX = re.compile(r"^(\(\w+[^)]*\) )*([A-Z]+ [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
_ERROR = re.compile(r"^([\w.]*(?:Error|Exception|Interrupt))\b:? ?(.*)")
_USAGE = re.compile(r"^[\w.]+\.py: error: (.*)")
# What vLLM raises because something else went wrong before.
CONSEQUENCE = re.compile(r"Engine core initialization failed|WorkerProc initialization failed")
_LISTING = "ValidationError"
# These name a setting; everything else is a matter of the machine.
WRONG_SETTING = frozenset({"ValueError", "TypeError", "ValidationError", "usage"})


def last_words(text: str) -> tuple[str, str]:
    """The kind of error that ended vLLM, and one line of its log."""
    lines = [line for raw in text.splitlines() if (line := _PREFIX.sub("", raw).strip())]
    for line in reversed(lines):
        if found := _USAGE.match(line):
            return "usage", found[1]
        if PORT_TAKEN in line.lower():
            return "OSError", line
    causes = [(place, found) for place, line in enumerate(lines) if (found := _ERROR.match(line))]
    causes = [each for each in causes if not CONSEQUENCE.search(each[1][0])] or causes
    if causes:
        place, found = causes[-1]
        # pydantic says what is wrong with which field in the lines that follow.
        whole = " ".join(lines[place : place + 3]) if found[1].endswith(_LISTING) else found[0]
        return found[1].rpartition(".")[2], redact(whole)[:400]
    return "", redact(" | ".join(lines[-3:]))[:400] or "nothing"
