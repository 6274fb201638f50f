"""The child's side: runs the program, and writes the verdict to a private pipe.

A pass is ``P`` and a one-time code, written after the last test. A failure is one letter and a
line of text; the letter is written before any of the program's own code can run again, such as
an exception's ``__str__``. Whatever else is in the pipe, or nothing, is no pass.

In reference mode, program and tests share one namespace, as HumanEval defines it, so a program
that goes looking for the one-time code can find it. In the confirming run they are two processes:
``serve_candidate`` runs the program and answers calls, ``run_oracle`` runs the tests on a stub.
"""

import builtins
import os
import struct
import sys
import traceback
import types
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from harness.scorers.sandbox import codec
from harness.scorers.sandbox.owntests import UntestedError
from harness.scorers.sandbox.protocol import Job, Kind

PASS = b"P"
BROKEN = b"B"
FAILURES: dict[bytes, Kind] = {
    b"A": "assertion",
    b"X": "exception",
    b"M": "memory",
    b"D": "forbidden",
    b"U": "untested",
    BROKEN: "crash",
}
"""The class of a failure by its letter."""
MAX_TEXT = 300

_MODULE = "solution"
_FRAME = struct.Struct("!Q")
_MAX_FRAME = 64 << 20
_RECURSION_LIMIT = 1000
"""The recursion limit of a standalone program, counted from its first frame."""


class CandidateBroken(BaseException):
    """The candidate's process is gone or breaks the protocol; no ``except Exception`` helps."""


class CandidateNotPlain(BaseException):
    """Arguments or a result are not plain data, and so cannot cross between the processes."""


class CandidateError(Exception):
    """An exception of the candidate's that is no built-in one."""


def run_together(job: Job, code: bytes, verdict: int) -> NoReturn:
    """Runs program and tests in one namespace, as HumanEval defines it."""
    # The program may rebind whatever can be reached by name.
    write, leave, execute = os.write, os._exit, exec
    try:
        assert job.tests is not None
        tests = _compile(job.tests, "<tests>")
        namespace = _new_module()
        execute(_compile(job.program, "<program>"), namespace)
        execute(tests, namespace)
        namespace["check"](_function(namespace, job.entry_point))
        write(verdict, PASS + code)
    except BaseException as error:  # noqa: BLE001 - even SystemExit is only a failure here
        report(error, _sources(job), verdict, write)
    leave(0)


def serve_candidate(job: Job, channel: int, verdict: int) -> NoReturn:
    """Runs the program and answers calls of its entry point until the other side hangs up."""
    write, leave = os.write, os._exit
    try:
        namespace = _new_module()
        exec(_compile(job.program, "<program>"), namespace)  # noqa: S102
        function = _function(namespace, job.entry_point)
        while (request := _read_frame(channel)) is not None:
            _write_frame(channel, _answer(function, request))
    except BaseException as error:  # noqa: BLE001
        report(error, _sources(job), verdict, write)
    leave(0)


def run_oracle(job: Job, channel: int, code: bytes, verdict: int) -> NoReturn:
    """Runs the tests on a stub of the candidate, which lives in another process."""
    broken: list[BaseException] = []
    try:
        assert job.tests is not None
        namespace = _new_module()
        exec(_compile(job.prelude, "<prelude>"), namespace)  # noqa: S102
        stub = _stub(channel, broken)
        namespace[job.entry_point] = stub
        exec(_compile(job.tests, "<tests>"), namespace)  # noqa: S102
        namespace["check"](stub)
        if broken:  # the tests swallowed it
            raise broken[0]
        os.write(verdict, PASS + code)
    except BaseException as error:  # noqa: BLE001
        report(error, _sources(job), verdict, os.write)
    os._exit(0)


def _new_module() -> dict[str, Any]:
    """A real module, so that pickle and dataclasses work, but not ``__main__``, as in HumanEval."""
    module = sys.modules[_MODULE] = types.ModuleType(_MODULE)
    module.__dict__["__builtins__"] = builtins
    limit_recursion()
    return module.__dict__


def limit_recursion() -> None:
    """Allows the recursion depth that a standalone program would have."""
    frames = sum(1 for _ in traceback.walk_stack(None))
    sys.setrecursionlimit(_RECURSION_LIMIT + frames)


def _sources(job: Job) -> dict[str, str]:
    return {"<tests>": job.tests or "", "<program>": job.program}


def _compile(source: str, name: str) -> types.CodeType:
    return compile(source, name, "exec", dont_inherit=True, optimize=0)


def _function(namespace: dict[str, Any], name: str) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = namespace[name]
    except KeyError:
        raise NameError(f"the program defines no {name}") from None
    return function


def report(
    error: BaseException,
    sources: Mapping[str, str],
    verdict: int,
    write: Callable[[int, bytes], int],
) -> None:
    """Writes a failure: its class first, then its type, then its message or the failing line.

    Args:
        error: What ended the program.
        sources: By file name, the text of the program and of its tests.
        verdict: The descriptor to write to.
        write: ``os.write``, taken before the program could replace it.
    """
    write(verdict, _letter(error))
    name = type.__dict__["__name__"].__get__(type(error))
    write(verdict, _line(name))
    try:
        text = str(error) or _failing_line(error, sources)
    except BaseException:  # noqa: BLE001 - a message that fails is not worth more
        text = ""
    if text:
        write(verdict, b": " + _line(text))


def _letter(error: BaseException) -> bytes:
    if isinstance(error, AssertionError):
        return b"A"
    if isinstance(error, MemoryError):
        return b"M"
    if isinstance(error, PermissionError):
        return b"D"
    if isinstance(error, UntestedError):
        return b"U"
    return BROKEN if isinstance(error, CandidateBroken) else b"X"


def _line(text: str) -> bytes:
    first = str.__str__(text).strip()[:MAX_TEXT].partition("\n")[0]
    return first.encode("ascii", "backslashreplace")[:MAX_TEXT]


def _failing_line(error: BaseException, sources: Mapping[str, str]) -> str:
    """The innermost line of tests or program that the error passed through."""
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if source := sources.get(frame.f_code.co_filename):
            return source.splitlines()[line - 1].strip()
    return ""


# --- the two sides of a call ----------------------------------------------------------------


def _stub(channel: int, broken: list[BaseException]) -> Callable[..., Any]:
    """A function that calls the candidate in the other process."""

    def candidate(*arguments: Any, **named: Any) -> Any:
        try:
            sent = codec.encode([arguments, named])
            _write_frame(channel, sent.encode("ascii"))
            reply = _read_frame(channel)
            if reply is None:
                raise CandidateBroken("the candidate's process ended")
            result, raised, after = codec.decode(reply)
            if after is not None:
                _merge(after, [arguments, named])
        except codec.NotPlainDataError as error:
            broken.append(CandidateNotPlain(f"not plain data: argument of type {error}"))
            raise broken[-1] from None
        except (OSError, ValueError, TypeError, MemoryError, CandidateBroken) as error:
            broken.append(CandidateBroken(str(error)))
            raise broken[-1] from None
        if raised is not None:
            _raise(raised, broken)
        return result

    return candidate


def _raise(raised: Any, broken: list[BaseException]) -> NoReturn:
    name, text = map(str, raised)
    if name == "not plain data":
        broken.append(CandidateNotPlain(f"not plain data: result of type {text}"))
        raise broken[-1]
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        raise kind.__new__(kind, text)  # some need more arguments in __init__
    raise CandidateError(f"{name}: {text}")


def _answer(function: Callable[..., Any], request: bytes) -> bytes:
    """Calls the candidate. Exceptions travel by the name of their nearest built-in type."""
    arguments, named = codec.decode(request)
    result, raised = None, None
    try:
        result = function(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - whatever it is, the tests shall see it
        kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")
        raised = [next(kinds), str(error)[:MAX_TEXT]]
    after: Any = [arguments, named]
    try:
        if codec.encode(after).encode("ascii") == request:
            after = None
        return codec.encode([result, raised, after]).encode("ascii")
    except codec.NotPlainDataError as error:
        return codec.encode([None, ["not plain data", str(error)], None]).encode("ascii")


def _merge(changed: Any, original: Any) -> Any:
    """Makes the caller's own containers what the candidate made of its copies of them."""
    if type(changed) is not type(original):
        return changed
    match original:
        case list():
            kept = [_merge(*pair) for pair in zip(changed, original, strict=False)]
            original[:] = kept + changed[len(kept) :]
        case dict():
            kept_items = {key: _merge(item, original.get(key)) for key, item in changed.items()}
            original.clear()
            original.update(kept_items)
        case set():
            original.clear()
            original.update(changed)
        case bytearray() | deque():
            original.clear()
            original.extend(changed)
        case tuple():
            return tuple(_merge(*pair) for pair in zip(changed, original, strict=True))
        case _ if hasattr(original, "__array__") and original.shape == changed.shape != ():
            original[...] = changed
        case _:
            return changed
    return original


def _write_frame(channel: int, body: bytes) -> None:
    view = memoryview(_FRAME.pack(len(body)) + body)
    while view:
        view = view[os.write(channel, view) :]


def _read_frame(channel: int) -> bytes | None:
    """One frame, None at the end."""
    header = _read_exactly(channel, _FRAME.size)
    if header is None:
        return None
    (length,) = _FRAME.unpack(header)
    if length > _MAX_FRAME:
        raise CandidateBroken(f"a message of {length} bytes")
    return _read_exactly(channel, length)


def _read_exactly(channel: int, length: int) -> bytes | None:
    chunks = []
    while length:
        chunk = os.read(channel, min(length, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        length -= len(chunk)
    return b"".join(chunks)
