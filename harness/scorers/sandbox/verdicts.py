"""Turns the way a child ended into an outcome with a readable reason."""

import signal
from dataclasses import replace

from harness.scorers.sandbox import program
from harness.scorers.sandbox.protocol import Kind, Outcome
from harness.scorers.sandbox.watch import Ending
from harness.scorers.sandbox.workdir import MAX_BYTES, MAX_FILES

UNCONFINED = b"!"
"""With the one-time code after it, this begins the report of a child that could not be confined."""

_OUT_OF_CPU = (-signal.SIGXCPU, -signal.SIGKILL)


def outcome(
    ending: Ending, secret: bytes, limit_s: float, *, candidate_report: bytes = b""
) -> Outcome:
    """The outcome for an ending.

    Args:
        ending: How the child ended.
        secret: The child's one-time code.
        limit_s: Its time limit.
        candidate_report: In a confirming run, the report of the candidate's own process, which
            explains why the tests got no reply.
    """
    kind, text = _judge(ending, secret, limit_s)
    if candidate_report and ending.verdict.startswith(program.BROKEN):
        kind, text = _read_report(candidate_report)
    return Outcome(
        kind=kind,
        detail=text if kind == "passed" else f"{kind}: {text}",
        wall_s=ending.wall_s,
        cpu_s=ending.cpu_s,
        is_starved=ending.is_starved,
        is_killed=ending.is_killed and kind != "passed",
        waited_s=ending.waited_s,
    )


def confirmed(first: Outcome, second: Outcome) -> Outcome:
    """The outcome of a pass after its confirming run."""
    total = replace(second, wall_s=first.wall_s + second.wall_s, cpu_s=first.cpu_s + second.cpu_s)
    if second.kind in ("passed", "error"):
        return total
    detail = f"unconfirmed: with the tests in another process: {second.detail}"
    return replace(total, kind="unconfirmed", detail=detail)


def _judge(ending: Ending, secret: bytes, limit_s: float) -> tuple[Kind, str]:
    report = ending.verdict
    if report == program.PASS + secret:
        return "passed", ""
    if report.startswith(UNCONFINED + secret):
        return "error", _printable(report.removeprefix(UNCONFINED + secret))
    if ending.is_overfull:
        return "forbidden", f"wrote more than {MAX_BYTES >> 20} MiB or {MAX_FILES} files"
    return _read_report(report) if report else _judge_silence(ending, limit_s)


def _judge_silence(ending: Ending, limit_s: float) -> tuple[Kind, str]:
    out_of_cpu = ending.status in _OUT_OF_CPU and ending.cpu_s >= limit_s
    if ending.is_late or out_of_cpu:
        return "timeout", f"not done after {limit_s:g} s"
    if ending.status < 0:
        return "crash", f"killed by {signal.Signals(-ending.status).name}"
    return "crash", f"ended before its tests were done, with exit status {ending.status}"


def _read_report(report: bytes) -> tuple[Kind, str]:
    kind = program.FAILURES.get(report[:1])
    if kind is None:
        return "forbidden", "wrote to the pipe of the verdict"
    return kind, _printable(report[1:])


def _printable(text: bytes) -> str:
    return "".join(char if char.isprintable() else "?" for char in text.decode("ascii", "replace"))
