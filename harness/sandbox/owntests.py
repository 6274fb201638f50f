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
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

_MARK = "__test_began__"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_IS_WATCHED = re.compile(
    r"\b(?:def|class)\s+[Tt]est|\basync\s+def\b|TestCase|unittest|doctest|exit|quit|SystemExit"
)
"""Programs of which it matters whether a test ran. The others run as they are."""


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
        self._failures: list[str] = []

    def watched(self, source: str) -> ast.Module | str:
        """The program, with marks in its tests where that matters; watches from now on.

        Raises:
            SyntaxError: As ``compile`` does.
        """
        self._watch_lost_assertions()
        if not _IS_WATCHED.search(source):
            return source
        self._is_watched = True
        self._watch_coroutines()
        if "unittest" in source or "doctest" in source:
            self._watch_unittest()
        if "doctest" in source:
            self._watch_doctest()
        tree = ast.parse(source, self._path)
        builtins.__dict__[_MARK] = self._begin
        for node, is_test in list(_functions(tree)):
            if is_test:
                self._unrun.append(f"{node.name} was never called")
            if is_test or any(isinstance(each, ast.Assert) for each in ast.walk(node)):
                _mark(node)
        self._began += any(isinstance(each, ast.Assert) for each in _outside_functions(tree))
        return tree

    @property
    def has_begun(self) -> bool:
        """Whether a test or an assertion ran, of a program that may leave by ``exit``."""
        return self._began > 0

    def check(self) -> None:
        """To be called when the program has ended.

        Raises:
            AssertionError: A test failed, though the program went on.
            UntestedError: The program has tests and none has run.
        """
        if self._failures:
            raise AssertionError(self._failures[0])
        if self._is_watched and not self._began:
            self._unrun += self._kept_coroutines()
        if self._unrun and not self._began:
            raise UntestedError(f"no test ran: {self._unrun[0]}")

    def _begin(self, count: int = 1) -> None:
        self._began += count

    def _watch_lost_assertions(self) -> None:
        """Those that no caller sees: in threads, ``atexit`` callbacks and ``__del__``."""
        import threading

        thread_hook, unraisable_hook = threading.excepthook, sys.unraisablehook

        def in_thread(what: Any) -> None:
            self._fail_if_assertion("a thread", what.exc_value)
            thread_hook(what)

        def unraisable(what: Any) -> None:
            self._fail_if_assertion("a callback", what.exc_value)
            unraisable_hook(what)

        threading.excepthook, sys.unraisablehook = in_thread, unraisable

    def _fail_if_assertion(self, where: str, error: BaseException | None) -> None:
        if isinstance(error, AssertionError):
            self._failures.append(f"in {where}: {error}")

    def _kept_coroutines(self) -> list[str]:
        """Those that were not dropped, nor awaited either."""
        return [
            f"{each.__name__} was called but never awaited"
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
                self._unrun.insert(0, f"{coroutine.__name__} was called but never awaited")
            warn(coroutine)

        warnings._warn_unawaited_coroutine = dropped  # type: ignore[attr-defined]

    def _watch_unittest(self) -> None:
        import unittest

        result = unittest.TestResult

        def failed(_: Any, test: Any, *details: Any) -> None:
            if not details or details[-1] is not None:  # a subtest that passed has None
                self._failures.append(f"unittest: {test}")

        for name in ("addError", "addFailure", "addUnexpectedSuccess", "addSubTest"):
            _precede(result, name, failed)
        _precede(result, "startTest", lambda *_: self._begin())
        _precede(result, "addSkip", lambda *_: self._begin(-1))
        _precede(result, "startTestRun", lambda *_: self._unrun.append("unittest found none"))

    def _watch_doctest(self) -> None:
        import doctest

        run = doctest.DocTestRunner.run

        def counted(runner: Any, test: Any, *arguments: Any, **named: Any) -> Any:
            found = run(runner, test, *arguments, **named)
            self._begin(found.attempted)
            if found.failed:
                self._failures.append(f"doctest: {found.failed} of {test.name} failed")
            return found

        doctest.DocTestRunner.run = counted  # type: ignore[assignment, method-assign]
        _precede(doctest.DocTestFinder, "find", lambda *_: self._unrun.append("doctest found none"))


def _precede(owner: type, name: str, hook: Callable[..., None]) -> None:
    """Has a method call the hook, with its own arguments, before it does its work."""
    method = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        hook(*arguments, *named.values())
        return method(*arguments, **named)

    setattr(owner, name, both)


def _outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module runs."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def _functions(tree: ast.Module) -> Iterator[tuple[Any, bool]]:
    """Functions, and whether each is a test as pytest and unittest name them."""
    for node in _outside_functions(tree):
        if isinstance(node, ast.ClassDef):
            holds_tests = _holds_tests(node)
            for each in node.body:
                if isinstance(each, _FUNCTIONS):
                    yield each, holds_tests and each.name.startswith("test")
        elif isinstance(node, ast.Module | ast.If | ast.Try | ast.With):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, _FUNCTIONS):
                    yield child, child.name.startswith("test")


def _holds_tests(node: ast.ClassDef) -> bool:
    return node.name.startswith("Test") or any(
        ast.unparse(base).endswith("TestCase") for base in node.bases
    )


def _mark(node: Any) -> None:
    """Has a function say that it began, after its docstring and on the line where it starts."""
    statement = ast.parse(f"{_MARK}()").body[0]
    for each in ast.walk(statement):
        ast.copy_location(each, node.body[0])
    node.body.insert(ast.get_docstring(node, clean=False) is not None, statement)
