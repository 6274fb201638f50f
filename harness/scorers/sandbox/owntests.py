"""Whether the tests that a whole program brings have run, and whether any of them failed.

A script ends with exit status 0 after ``unittest.main(exit=False)`` or ``doctest.testmod()``
whatever those found, after an assertion that failed in a thread, and when it never calls the tests
that it defines. That is no pass here.
"""

import ast
import builtins
import gc
import inspect
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from harness.scorers.sandbox.lostfailures import LostFailures, call, either, precede

_MARK = "__test_began__"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IS_WATCHED = re.compile(
    r"\b(?:def|class)\s+[Tt]est|\basync\s+def\b|TestCase|unittest|doctest|exit|quit|SystemExit"
    r"|(?:^[ \t]+|:[ \t]*)assert\b|\bassert\w+\(|\braise[ \t]+AssertionError\b",
    re.MULTILINE,
)
"""Programs of which it matters whether a test ran. The others run as they are."""
_RUNS_TESTS = re.compile(r"check|main|(?:run_?)?tests?|\w+_tests?")
"""Besides ``test*``, functions of these names are tests if they contain assertions."""


class UntestedError(Exception):
    """The program came to an end, but its tests did not run."""


class OwnTests:
    """Watches one program in its own process. To be made before the program is compiled."""

    def __init__(self, path: str) -> None:
        """Prepares to watch the program of a file."""
        self._path = path
        self._unrun: list[str] = []
        self._began = 0
        self._is_watched = False
        self._has_coroutines = False
        self._failures = LostFailures()
        self._unawaited = ""
        self._before_test = 0
        self._tests: list[Any] = []

    def watched(self, source: str) -> ast.Module | str:
        """The program, with marks in its tests where that matters; watches from now on.

        Raises:
            SyntaxError: As ``compile`` does.
        """
        self._failures.watch(source)
        if not _IS_WATCHED.search(source):
            return source
        self._is_watched = True
        self._has_coroutines = "async" in source
        self._watch_coroutines()
        if "unittest" in source or "doctest" in source:
            self._watch_unittest()
        if "doctest" in source:
            self._watch_doctest()
        tree = ast.parse(source, self._path)
        builtins.__dict__[_MARK] = self._begin
        functions = list(_functions(tree))
        tests = [each for each in functions if each.is_test]
        self._tests = [each.node.name for each in tests]
        self._unrun += [f"{name} was never called" for name in self._tests]
        self._failures.mark(tree, ((each.node, each.is_reported) for each in tests), source)
        for each in functions:
            if each.is_test or _asserts(each.node):
                _mark(each.node)
        for node in _outside_functions(tree):
            if isinstance(node, ast.Assert) and node in tree.body:
                self._begin()  # it has run when the end is reached
            elif isinstance(node, ast.Assert):
                self._unrun.append(f"not reached: {ast.unparse(node)}")
                node.test = either(call(_MARK, node.test), node.test)
        return tree

    @property
    def has_begun(self) -> bool:
        """Whether a test or an assertion ran, of a program that may leave by ``exit``."""
        return self._began > 0

    def check(self) -> None:
        """Checks the tests when the program has ended.

        Raises:
            AssertionError: A test failed, though the program went on.
            UntestedError: The program has tests and none has run.
        """
        if lost := self._failures.all():
            raise AssertionError(lost[0])
        if self._is_watched and (not self._began or self._has_coroutines):
            for name in self._kept_coroutines():
                self._count_unawaited(name)
        if self._unawaited or (self._unrun and not self._began):
            raise UntestedError(f"no test ran: {self._unawaited or self._unrun[0]}")

    def _begin(self, count: int = 1) -> None:
        self._began += count

    def _count_unawaited(self, name: str) -> None:
        """A coroutine never ran: it is no test, or it is one, which then passes nowhere."""
        what = f"{name} was called but never awaited"
        self._unrun.insert(0, what)
        if name in self._tests:
            self._unawaited = what

    def _kept_coroutines(self) -> list[str]:
        """The names of those that were not dropped, nor awaited either."""
        return [
            each.__name__
            for each in gc.get_objects()
            if inspect.iscoroutine(each)
            and each.cr_code.co_filename == self._path
            and inspect.getcoroutinestate(each) == inspect.CORO_CREATED
        ]

    def _watch_coroutines(self) -> None:
        """The interpreter calls this function for each coroutine that is dropped unawaited."""
        warn = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]

        def dropped(coroutine: Any) -> None:
            if coroutine.cr_code.co_filename == self._path:
                self._count_unawaited(coroutine.__name__)
            warn(coroutine)

        warnings._warn_unawaited_coroutine = dropped  # type: ignore[attr-defined]

    def _watch_unittest(self) -> None:
        import unittest

        result = unittest.TestResult

        def failed(_: Any, test: Any, *details: Any) -> None:
            if not details or details[-1] is not None:  # a subtest that passed has None
                self._failures.found.append(f"unittest: {test}")

        for name in ("addError", "addFailure", "addUnexpectedSuccess", "addSubTest"):
            precede(result, name, failed)
        precede(result, "startTest", lambda *_: self._start_test())
        precede(result, "addSkip", self._skip_test)
        precede(result, "stopTest", lambda *_: self._stop_test())
        precede(result, "startTestRun", lambda *_: self._unrun.append("unittest found none"))

    def _start_test(self) -> None:
        self._before_test = self._began
        self._begin()

    def _stop_test(self) -> None:
        self._before_test = self._began  # what setUpClass skips afterwards is not this test

    def _skip_test(self, *_: Any) -> None:
        """A skipped test has not run, even if its body has begun."""
        self._began = self._before_test

    def _watch_doctest(self) -> None:
        import doctest

        run = doctest.DocTestRunner.run

        def counted(runner: Any, test: Any, *arguments: Any, **named: Any) -> Any:
            found = run(runner, test, *arguments, **named)
            self._begin(found.attempted)
            if found.failed:
                self._failures.found.append(f"doctest: {found.failed} of {test.name} failed")
            return found

        doctest.DocTestRunner.run = counted  # type: ignore[assignment, method-assign]
        precede(doctest.DocTestFinder, "find", lambda *_: self._unrun.append("doctest found none"))


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module runs."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


class _Function(NamedTuple):
    node: Any
    is_test: bool
    """Whether pytest or unittest would call it a test."""
    is_reported: bool = False
    """unittest runs it, and reports a failure that it does not catch itself."""


def _functions(tree: ast.Module) -> Iterator[_Function]:
    """Functions and methods that are not within others."""
    for node in _outside_functions(tree):
        if isinstance(node, ast.ClassDef):
            is_case = any(ast.unparse(base).endswith("TestCase") for base in node.bases)
            holds_tests = is_case or node.name.startswith("Test")
            for each in node.body:
                if isinstance(each, _FUNCTIONS):
                    yield _Function(each, holds_tests and each.name.startswith("test"), is_case)
        elif isinstance(node, ast.Module | ast.If | ast.Try | ast.With):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, _FUNCTIONS):
                    runs_tests = _RUNS_TESTS.fullmatch(child.name) and _asserts(child)
                    yield _Function(child, child.name.startswith("test") or bool(runs_tests))


def _asserts(function: ast.AST) -> bool:
    return any(isinstance(each, ast.Assert) for each in ast.walk(function))


def _mark(node: Any) -> None:
    """Makes a function record that it began, after its docstring and on its first line."""
    statement = ast.parse(f"{_MARK}()").body[0]
    for each in ast.walk(statement):
        ast.copy_location(each, node.body[0])
    node.body.insert(ast.get_docstring(node, clean=False) is not None, statement)
