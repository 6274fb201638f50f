"""Looks that may break or hang, all at once, each with its own limit."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

from harness.doctor.finding import Finding
from harness.io.redaction import redact

log = logging.getLogger(__name__)

Look = Callable[[], Sequence[Finding]]
_SHOWN_CHARACTERS = 200


class Check(NamedTuple):
    """One check with a time limit."""

    group: str
    name: str
    """The name to report if it fails."""
    limit_s: float
    look: Look


def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Runs all of them at once; what broke or did not end in time is a finding too.

    Returns:
        Their findings, in the order of the checks.
    """
    began = time.monotonic()
    answers = [_start(check) for check in checks]
    found: list[Finding] = []
    for check, answer in zip(checks, answers, strict=True):
        left = check.limit_s - (time.monotonic() - began)
        try:
            found += map(_without_secrets, answer.get(timeout=max(left, 0.0)))
        except Empty:
            found += _timed_out(check)
    return found


def _start(check: Check) -> SimpleQueue[Sequence[Finding]]:
    answer: SimpleQueue[Sequence[Finding]] = SimpleQueue()

    def work() -> None:
        try:
            answer.put(check.look())
        except subprocess.TimeoutExpired:
            answer.put(_timed_out(check))
        except Exception as error:  # becomes a finding that says so
            log.debug("doctor: %s", check.name, exc_info=True)
            answer.put(_broken(check, error))

    # A daemon: the interpreter does not wait for one that hangs.
    threading.Thread(target=work, daemon=True, name=f"doctor: {check.name}").start()
    return answer


def _without_secrets(found: Finding) -> Finding:
    """A mirror's address or a program's last words may hold a password."""
    return found.model_copy(update={"value": redact(found.value)})


def _timed_out(check: Check) -> list[Finding]:
    value = f"no answer within {check.limit_s:g} s"
    return [Finding(group=check.group, name=check.name, status="timed out", value=value)]


def _broken(check: Check, error: Exception) -> list[Finding]:
    words = " ".join(redact(f"{type(error).__name__}: {error}").split())
    return [
        Finding(
            group=check.group,
            name=check.name,
            status="failed",
            value=f"the check itself broke: {words[:_SHOWN_CHARACTERS]}",
            remedy="harness --debug doctor shows where",
        )
    ]
