"""No answer hangs, crashes or slows the run, and no answer is run."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from harness.errors import UnavailableError
from harness.scorers.equivalence.checker import Comparison, Equivalence
from tests.facts import mentions

PAIR_LIMIT_S = 20.0
NO_HURRY_S = 600.0
"""Where the limit is not what is tested: a machine may stand still for seconds."""
EASY = (r"\sqrt{8}", r"2\sqrt{2}")
"""Needs a worker."""

HOSTILE = {
    "tower": "10^{10^{10}}",
    "scientific": "1e999999999",
    "tiny": "1e-999999999",
    "tower of fractions": r"2^{\sqrt{10^{20}}}",
    "factorial": "999999999!",
    "factorials of factorials": "((9!)!)!",
    "binomial": r"\binom{10^9}{5\cdot10^8}",
    "polynomial": "(x+1)^{100000}",
    "polynomials in polynomials": "(((x+1)^{900}+x)^{900}+x)^{900}",
    "exponential": "e^{10^{12}}",
    "sum": r"\sum_{n=1}^{10^{12}} n",
    "integral": r"\int_0^1 x^x dx",
    "sums in sums": r"\sum_{k=1}^{n}" * 60 + "k",
    "many sums": r"+\sum_{k=1}^{9} k" * 60,
    "sum of towers": r"\sum_{n=1}^{10} 10^{10^{n^{9}}}",
    "integrals in integrals": r"\int_0^1" * 40 + "x" + "dx" * 40,
    "limit": r"\lim_{n\to\infty} \left(1+\frac{1}{n}\right)^{n^{n}}",
    "divergent": r"\prod_{k=1}^{\infty} k^k",
    "gcd of towers": r"\gcd(10^{10^{10}}, 6)",
    "gcd of factorials": r"\gcd(2999!, 2998!)",
    "gcd of many": r"\gcd(" + ",".join(map(str, range(9, 350))) + ")",
    "max of roots": r"\max(" + ",".join(rf"\sqrt{{{n}}}" for n in range(2, 120)) + ")",
    "max in max": r"\max(1," * 35 + "x" + ")" * 35,
    "function in function": "f(" * 35 + "x" + ")" * 35,
    "unknown functions": "+".join(f"f({n})" for n in range(150)),
    "gamma": r"\Gamma(10^{12})",
    "brackets": "(" * 60 + "1" + ")" * 60,
    "many brackets": "(" * 700 + "1" + ")" * 700,
    "fractions": r"\frac{1}{1+" * 35 + "1" + "}" * 35,
    "roots": r"\sqrt{2+" * 35 + "x" + "}" * 35,
    "carets": "x" + "^{x" * 30 + "}" * 30,
    "signs": "-" * 1400 + "1",
    "plus or minus": r"\pm1" * 200,
    "a long product": "x" * 1400,
    "a long product of brackets": "(x)" * 450,
    "a long sum of letters": "x+" * 700 + "1",
    "a long quotient": "1/" * 700 + "1",
    "a long chain": "x=" * 700 + "1",
    "exclamations": "5" + "!" * 1000,
    "quotes": "x" + "'" * 1000,
    "subscripts": "x" + "_{1}" * 300,
    "words": r"\text{a }" * 180,
    "a long label": "1" + r"\text{ cm}" * 140,
    "a long sum": "+".join(f"x_{{{n}}}" for n in range(150)),
    "a long list": ",".join(map(str, range(400))),
    "a long list of roots": ",".join(rf"\sqrt{{{n}}}" for n in range(2, 120)),
    "unions": r"\cup".join(f"(0,{n})" for n in range(1, 150)),
    "digits": "7" * 100_000,
    "long text": "a" * 100_000,
    "a long box of braces": "{" * 100_000,
    "long nonsense": r"\frac{1}{x}+" * 8_000,
    "file read": r"\input{/etc/passwd}",
    "shell": r"\write18{touch pwned}",
    "macro": r"\def\x{\x\x}\x",
    "import": '__import__("os").system("touch pwned")',
    "lambda": "(lambda: open('pwned', 'w'))()",
    "call": "open('pwned','w')",
    "attribute": "x.__class__.__bases__",
    "NUL": "5\x00",
    "surrogate": "5\ud800",
    "digits of another script": "٣",
    "raised digits": "²",
    "combining marks": "5" + "\u0301" * 500,
}


@pytest.fixture(scope="module")
def equivalence() -> Iterator[Equivalence]:
    with Equivalence(workers=1, pair_limit_s=PAIR_LIMIT_S) as equivalence:
        yield equivalence


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("gold", ["5", r"\sqrt{8}", "x^2+1"])
def test_hostile_answers_end_and_leave_the_worker_alone(
    equivalence: Equivalence,
    gold: str,
    answer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = equivalence.compare(gold, answer)
    assert not found.is_equal
    assert found.status in {"ok", "unparsed"}
    assert equivalence.compare(*EASY).is_equal
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_golds_end_and_are_themselves(equivalence: Equivalence, text: str) -> None:
    assert equivalence.compare(text, text).is_equal
    assert not equivalence.compare(text, "5").is_equal


def test_a_pair_past_its_limit_costs_its_worker_only() -> None:
    with Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence:
        worker = equivalence._pool._workers[0]
        assert equivalence.compare(*EASY).is_equal
        first = worker._process
        worker._pair_limit_s = 0.0
        found = equivalence.compare(*EASY)
        assert (found.is_equal, found.status) == (False, "timeout")
        assert "time limit" in found.detail
        assert first is not None
        assert first.poll() is not None, "the stuck process was not killed"
        worker._pair_limit_s = PAIR_LIMIT_S
        assert equivalence.compare(*EASY).is_equal


def process_of(equivalence: Equivalence) -> "subprocess.Popen[bytes]":
    process = equivalence._pool._workers[0]._process
    assert process is not None
    return process


def waiting_bytes(pipe: IO[bytes] | None) -> int:
    """What its reader has not taken out yet."""
    assert pipe is not None
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_worker_killed_between_two_pairs_is_replaced() -> None:
    with Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence:
        assert equivalence.compare(*EASY).is_equal
        process = process_of(equivalence)
        process.kill()
        process.wait()
        assert equivalence.compare(*EASY).is_equal


def test_a_worker_killed_over_a_pair_does_not_make_it_wrong() -> None:
    with (
        Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence,
        ThreadPoolExecutor(1) as threads,
    ):
        assert equivalence.compare(*EASY).is_equal
        first = process_of(equivalence)
        first.send_signal(signal.SIGSTOP)
        # Stopped before it is asked: otherwise it might still take the pair out of its pipe.
        os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
        found = threads.submit(equivalence.compare, *EASY)
        while not waiting_bytes(first.stdin):
            time.sleep(0.001)
        first.kill()
        assert found.result() == Comparison(True, "algebra")
        assert first.returncode == -signal.SIGKILL


def test_a_worker_out_of_memory_does_not_make_the_next_pair_wrong() -> None:
    with Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence:
        assert equivalence.compare(*EASY).is_equal
        first = process_of(equivalence)
        resource.prlimit(first.pid, resource.RLIMIT_AS, (1 << 20, 1 << 20))
        # More than the worker still holds from what it has seen before: 2 MB of numbers at once.
        terms = [r"\sqrt{2}", *(f"7^{{{exponent}}}" for exponent in range(49_900, 50_000))]
        pair = ("+".join(terms), "+".join(reversed(terms)))
        assert equivalence.compare(*pair) == Comparison(True, "algebra")
        assert first.returncode not in {None, 0}


def test_workers_that_are_killed_again_and_again_are_the_harness_own_failure() -> None:
    with (
        Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence,
        ThreadPoolExecutor(1) as threads,
    ):
        assert equivalence.compare(*EASY).is_equal
        found = threads.submit(equivalence.compare, *EASY)
        while not found.done():
            if (process := equivalence._pool._workers[0]._process) is not None:
                process.kill()
        # None was hit while it worked, or each was: a wrong answer it is not.
        try:
            assert found.result().is_equal
        except UnavailableError as error:
            assert mentions(str(error), "signal 9", "twice")  # noqa: PT017


def test_memory_is_limited() -> None:
    """A worker that may not grow any further ends, and says so by ending."""
    with Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence:
        assert equivalence.compare(*EASY).is_equal
        process = equivalence._pool._workers[0]._process
        assert process is not None
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        limit = next(line for line in limits.splitlines() if line.startswith("Max address space"))
        assert int(limit.split()[3]) <= 4 * 2**30


def test_workers_inherit_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence:
        assert equivalence.compare(*EASY).is_equal
        process = equivalence._pool._workers[0]._process
        assert process is not None
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"hf_secret" not in environment
        assert environment.count(b"=") == 4


def test_leaving_ends_the_workers() -> None:
    with Equivalence(workers=2, pair_limit_s=NO_HURRY_S) as equivalence:
        processes = [worker._process for worker in equivalence._pool._workers]
    for process in processes:
        assert process is not None
        assert process.returncode is not None


def test_a_worker_that_cannot_work_is_the_harness_own_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(UnavailableError, match="cannot start"), Equivalence():
        pass
    monkeypatch.setattr("sys.executable", "/bin/false" if os.path.exists("/bin/false") else "false")  # noqa: PTH110
    with Equivalence() as equivalence, pytest.raises(UnavailableError):
        equivalence.compare(*EASY)


def test_an_orphan_does_not_work_for_ever() -> None:
    """Closing its input is all that a worker needs to end."""
    with Equivalence(workers=1, pair_limit_s=NO_HURRY_S) as equivalence:
        assert equivalence.compare(*EASY).is_equal
        process = equivalence._pool._workers[0]._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.returncode == 0
