"""Right programs that a sandbox is tempted to refuse, and what is around every program."""

import textwrap
from collections.abc import Iterator

import pytest

from harness.scorers.sandbox.client import WardenFailedError
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.level import LevelReport
from harness.scorers.sandbox.pool import Sandbox
from harness.scorers.sandbox.protocol import LEVELS
from tests.facts import mentions

RIGHT = {
    "printing": """
        import sys
        print('x' * 10_000); sys.stdout.buffer.write(b'a'); sys.stdout.flush()
        """,
    "standard error": "import sys; print('x', file=sys.stderr); sys.stderr.flush()",
    "reading nothing": "import sys; assert sys.stdin.read() == ''",
    "unicode": "naïve = 'ℵ𝔘 日本'; assert naïve.encode('utf-8').decode() == naïve",
    "utf-8 by default": "open('a', 'w').write('ℵ'); assert open('a').read() == 'ℵ'",
    "temporary files": """
        import os, tempfile
        with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile('w') as file:
            file.write('x'); file.flush()
            assert os.path.getsize(file.name) == 1
            open(os.path.join(folder, 'a'), 'w').close()
        """,
    "pathlib": """
        from pathlib import Path
        Path('a/b').mkdir(parents=True)
        Path('a/b/c').write_text('x')
        assert [p.name for p in Path('.').rglob('c')] == ['c']
        Path('a/b/c').rename('d'); Path('d').unlink(); assert Path.cwd().exists()
        """,
    "copying files": """
        import os, shutil
        open('a', 'w').close(); shutil.copy2('a', 'b'); os.chmod('b', 0o600); os.utime('b', (0, 0))
        shutil.rmtree(os.getcwd() + '/none', ignore_errors=True)
        """,
    "environment": "import os; os.environ['A'] = 'b'; assert os.getenv('A') == 'b'",
    "home": "import os; open(os.path.expanduser('~/a'), 'w').close()",
    "asyncio": """
        import asyncio
        async def one():
            await asyncio.sleep(0.001)
            return 1
        async def main(): return sum(await asyncio.gather(*(one() for _ in range(9))))
        assert asyncio.run(main()) == 9
        """,
    "sqlite": """
        import sqlite3
        with sqlite3.connect('a.db') as base:
            base.execute('create table t(x)'); base.execute('insert into t values (7)')
            assert base.execute('select x from t').fetchall() == [(7,)]
        """,
    "threads": """
        from concurrent.futures import ThreadPoolExecutor
        import threading, queue
        with ThreadPoolExecutor(16) as pool: assert sum(pool.map(abs, range(-50, 0))) == 1275
        q = queue.Queue(); threading.Thread(target=q.put, args=[1]).start(); assert q.get() == 1
        """,
    "a daemon at the end": """
        import threading, time
        threading.Thread(target=time.sleep, args=[1000], daemon=True).start()
        """,
    "recursion to the usual depth": """
        def depth(n): return n and 1 + depth(n - 1)
        assert depth(990) == 990
        """,
    "recursion beyond the usual limit": """
        def depth(n): return n and 1 + depth(n - 1)
        try: depth(1010)
        except RecursionError: pass
        else: raise SystemError
        """,
    "deep recursion": """
        import sys
        sys.setrecursionlimit(100_000)
        def depth(n): return n and 1 + depth(n - 1)
        assert depth(50_000) == 50_000
        """,
    "deep recursion through C": """
        import sys
        sys.setrecursionlimit(100_000)
        class Deep:
            def __init__(self, n): self.n = n
            def __repr__(self): return 'x' + (repr(Deep(self.n - 1)) if self.n else '')
        assert len(repr(Deep(8_000))) == 8_001
        """,
    "a signal to itself": """
        import os, signal
        got = []
        signal.signal(signal.SIGUSR1, lambda *_: got.append(1))
        os.kill(os.getpid(), signal.SIGUSR1); signal.raise_signal(signal.SIGUSR1)
        assert got == [1, 1]
        """,
    "an alarm": """
        import signal, time
        got = []
        signal.signal(signal.SIGALRM, lambda *_: got.append(1))
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while not got: time.sleep(0.005)
        """,
    "pickle and dataclasses": """
        import pickle
        from dataclasses import dataclass
        @dataclass(order=True)
        class A: x: int
        assert pickle.loads(pickle.dumps(A(1))) == A(1) < A(2)
        """,
    "annotations and types": """
        from __future__ import annotations
        from typing import NamedTuple, get_type_hints
        class P(NamedTuple): x: int
        assert get_type_hints(P) == {'x': int}
        """,
    "large numbers": "assert len(str(3 ** 8_000)) == 3817; assert (1 << 100_000).bit_length() > 9",
    "time zones": """
        from datetime import datetime
        from zoneinfo import ZoneInfo, available_timezones
        if 'Europe/Zurich' in available_timezones():
            assert datetime(2020, 1, 1, tzinfo=ZoneInfo('Europe/Zurich')).utcoffset()
        """,
    "hashes and randomness": """
        import hashlib, os, random, secrets, uuid
        assert hashlib.md5(b'').hexdigest().startswith('d41d8')
        assert len(os.urandom(8)) == len(secrets.token_bytes(8)); random.random(); uuid.uuid4()
        """,
    "the foreign function interface": """
        import ctypes
        assert ctypes.CDLL(None).abs(-3) == 3
        """,
    "other interpreters' habits": "import sys; assert sys.argv and sys.path and sys.executable",
    "a catch for everything": "try: raise ValueError\nexcept BaseException: pass",
    "garbage collection": "import gc; a = []; a.append(a); del a; gc.collect()",
    "big memory within the limit": "x = bytearray(200 << 20); assert len(x) == 200 << 20",
    "numpy": """
        import numpy as np
        a = np.array([[2.0, 1.0], [1.0, 3.0]])
        assert np.allclose(np.linalg.inv(a) @ a, np.eye(2))
        assert np.random.default_rng(0).random(3).shape == (3,)
        assert np.fft.fft(np.ones(4)).real[0] == 4
        np.testing.assert_allclose(np.linalg.svd(a)[1].prod(), 5)
        """,
}


@pytest.fixture(scope="module", params=LEVELS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    sandbox = Sandbox(SandboxConfig(min_level="none"), 1, report=LevelReport(request.param))
    try:
        sandbox.__enter__()
    except WardenFailedError as error:
        pytest.skip(f"level {request.param} is not to be had here: {error}")
    yield sandbox
    sandbox.__exit__(None, None, None)


@pytest.mark.parametrize("name", RIGHT, ids=lambda name: name.replace(" ", "-"))
def test_right_programs_pass(sandbox: Sandbox, name: str) -> None:
    outcome = sandbox.run_program(textwrap.dedent(RIGHT[name]))
    assert outcome.passed, outcome


def test_large_program(sandbox: Sandbox) -> None:
    lines = "\n".join(f"x{number} = {number} # {'ℵ' * 20}" for number in range(20_000))
    assert sandbox.run_program(f"{lines}\nassert x19999 == 19999").passed


def test_programs_know_nothing_of_each_other(sandbox: Sandbox) -> None:
    first = "import json, os; json.dumps = None; os.environ['A'] = 'b'; open('left', 'w').close()"
    second = (
        "import json, os; assert json.dumps and 'A' not in os.environ\n"
        "assert os.listdir() == ['solution.py']"
    )
    assert sandbox.run_program(first).passed
    assert sandbox.run_program(second).passed


def test_nothing_of_the_harness_is_inherited(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_TEST_SECRET", "s3cret")
    program = """
        import gc, os, sys
        assert not any("s3cret" in value for value in os.environ.values())
        assert not any(name.startswith("harness") for name in sys.modules), sorted(sys.modules)
        for fd in range(5, 1024):
            try: os.fstat(fd)
            except OSError: continue
            raise SystemError(f"descriptor {fd} is open")
        try: import harness
        except ImportError: pass
        else: raise SystemError("the harness can be imported")
    """
    outcome = sandbox.run_program(textwrap.dedent(program))
    assert outcome.passed, outcome


def test_hash_seed_is_fixed(sandbox: Sandbox) -> None:
    program = "import builtins\nvalue = hash('seed')\nassert value == {}"
    assert not sandbox.run_program(program.format(0)).passed
    outcome = sandbox.run_program("raise ValueError(hash('seed'))")
    value = outcome.detail.rpartition(" ")[2]
    assert sandbox.run_program(program.format(value)).passed


def test_a_confirmed_pass_sees_changed_arguments(sandbox: Sandbox) -> None:
    program = "def sort(xs):\n    xs.sort()\n    xs[0].append(9)\n    return None"
    tests = textwrap.dedent(
        """
        def check(candidate):
            inner = [1]
            xs = [[2], inner]
            assert candidate(xs) is None
            assert xs == [[1, 9], [2]]
        """
    )
    outcome = sandbox.run_tests(program, tests, "sort")
    assert outcome.passed, outcome


def test_a_confirmed_pass_sees_exceptions(sandbox: Sandbox) -> None:
    program = textwrap.dedent(
        """
        class Odd(ValueError): pass
        def f(x):
            if x == 0: raise Odd("zero")
            if x == 1: raise KeyError("k")
            return b"\\xff".decode()
        """
    )
    tests = textwrap.dedent(
        """
        def check(candidate):
            try: candidate(0)
            except ValueError as error: assert "zero" in str(error)
            else: assert False
            for x, kind in ((1, KeyError), (2, UnicodeDecodeError)):
                try: candidate(x)
                except kind: pass
                else: assert False
        """
    )
    outcome = sandbox.run_tests(program, tests, "f")
    assert outcome.passed, outcome


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("def f(x): return (y for y in [x])", "generator"),
        ("def f(x): return lambda: x", "function"),
        ("def f(x): return object()", "object"),
    ],
)
def test_what_is_not_plain_data_is_refused_loudly(
    sandbox: Sandbox, program: str, word: str
) -> None:
    outcome = sandbox.run_tests(program, "def check(f): assert f(1)", "f")
    assert outcome.kind == "unconfirmed"
    assert mentions(outcome.detail, "plain data", word)


def test_helpers_of_the_problem_reach_the_confirming_run(sandbox: Sandbox) -> None:
    prelude = "import math\ndef helper(x): return math.floor(x)\ndef f(x):\n    'To do.'\n"
    program = f"{prelude}    return helper(x) + 1"
    tests = "def check(f): assert f(1.5) == helper(2.5)"
    assert sandbox.run_tests(program, tests, "f", prelude=prelude).passed
    assert sandbox.run_tests(program, tests, "f").kind == "unconfirmed"
