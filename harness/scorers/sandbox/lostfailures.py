"""Records failures that no caller sees, so that a script would end with status 0.

Exceptions in threads, and in futures and asyncio tasks whose result is never read;
assertions in ``atexit`` callbacks and ``__del__``; and assertions of tests that are caught by
handlers which go on.
"""

import ast
import builtins
import gc
import re
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_MARK = "__test_failed__"
_NOTE = "__note_failure__"
_CHECK = re.compile(r"(?:\w+\.)*assert\w+|self\.fail")
"""Functions that raise an ``AssertionError`` for a failed test."""
_USES_THREADS = re.compile("[Tt]hread|Timer")
_CATCHES = re.compile(r"\bexcept\b|\bsuppress\b")


class LostFailures:
    """Collects them in the process of one program."""

    def __init__(self) -> None:
        """Collects nothing yet."""
        self.found: list[str] = []
        self._futures: list[tuple[Any, BaseException]] = []
        self._asked: weakref.WeakSet[Any] = weakref.WeakSet()
        self._has_loops = False

    def watch(self, source: str) -> None:
        """Watches what the program's text can use."""
        self._watch_callbacks()
        if _USES_THREADS.search(source):
            self._watch_threads()
        if "futures" in source:
            self._watch_futures()
        if "asyncio" in source:
            self._watch_loops()

    def mark(self, tree: ast.Module, tests: Iterable[tuple[Any, bool]], source: str) -> None:
        """Makes the assertions of tests report failures that a handler might hide.

        Args:
            tree: The program.
            tests: Its test functions, and whether unittest reports what leaves them.
            source: Its text.
        """
        if not _CATCHES.search(source):
            return
        builtins.__dict__[_MARK] = self._add_caught
        builtins.__dict__[_NOTE] = self._noting
        quiet = [each for node in tree.body for each in _quiet_assertions(node, caught=False)]
        for test, is_reported in tests:
            for node in test.body:
                quiet += _quiet_assertions(node, caught=not is_reported)
        for each in quiet:
            _mark(each)

    def _add_caught(self) -> None:
        self.found.append("a test caught its own failure")

    def _noting(self, check: Callable[..., Any]) -> Callable[..., Any]:
        """The same function with its failed assertions recorded."""

        def noting(*arguments: Any, **named: Any) -> Any:
            try:
                return check(*arguments, **named)
            except AssertionError:
                self._add_caught()
                raise

        return noting

    def all(self) -> list[str]:
        """All recorded failures, once the program has ended."""
        for future, error in self._futures:
            if future not in self._asked:
                self._add("a future", error)
        if self._has_loops:
            self._add_tasks()
        return self.found

    def _add(self, where: str, error: BaseException | None) -> None:
        if error is not None:
            self.found.append(f"in {where}: {type(error).__name__}: {error}")

    def _watch_callbacks(self) -> None:
        hook = sys.unraisablehook

        def unraisable(what: Any) -> None:
            if isinstance(what.exc_value, AssertionError):
                self._add("a callback", what.exc_value)
            hook(what)

        sys.unraisablehook = unraisable

    def _watch_threads(self) -> None:
        import threading

        hook = threading.excepthook

        def in_thread(what: Any) -> None:
            self._add("a thread", what.exc_value)
            hook(what)

        threading.excepthook = in_thread

    def _watch_futures(self) -> None:
        from concurrent.futures import Future

        def failed(future: Any, error: Any) -> None:
            self._futures.append((future, error))

        def asked(future: Any, *_: Any) -> None:
            self._asked.add(future)

        precede(Future, "set_exception", failed)
        for name in ("result", "exception"):
            precede(Future, name, asked)

    def _watch_loops(self) -> None:
        from asyncio import BaseEventLoop

        self._has_loops = True
        precede(
            BaseEventLoop,
            "call_exception_handler",
            lambda _, context: self._add("a task", context.get("exception")),
        )

    def _add_tasks(self) -> None:
        """Adds tasks that are still referenced; the loop reports the dropped ones."""
        from asyncio import Future

        gc.collect()
        for each in gc.get_objects():
            if issubclass(type(each), Future) and each._log_traceback:
                self._add("a task", each._exception)


def _quiet_assertions(node: ast.AST, *, caught: bool) -> Iterator[ast.stmt]:
    """The assertions in a statement whose failure something may catch and be silent about."""
    if isinstance(node, ast.stmt) and _is_assertion(node):
        if caught:
            yield node
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    within = caught
    if isinstance(node, ast.Try | ast.TryStar):
        within = not _checks_again(node) and (caught or bool(node.handlers))
    elif isinstance(node, ast.With | ast.AsyncWith):
        managers = " ".join(ast.unparse(item.context_expr) for item in node.items)
        within = "suppress(" in managers or (caught and "aises" not in managers)
    body = getattr(node, "body", None)
    for child in ast.iter_child_nodes(node):
        is_within = isinstance(body, list) and child in body
        yield from _quiet_assertions(child, caught=within if is_within else caught)


def _is_assertion(node: ast.stmt) -> bool:
    """``assert x``, ``raise AssertionError(…)``, ``self.assertEqual(…)``, ``assert_equal(…)``."""
    match node:
        case ast.Assert():
            return True
        case ast.Raise(exc=ast.expr() as error):
            return ast.unparse(error).startswith("AssertionError")
        case ast.Expr(value=ast.Call(func=function)):
            return _CHECK.fullmatch(ast.unparse(function)) is not None
        case _:
            return False


def _mark(node: ast.stmt) -> None:
    match node:
        case ast.Assert(test=test):
            node.test = either(test, call(_MARK, test))
        case ast.Raise(exc=ast.expr() as error):
            node.exc = either(call(_MARK, error), error)
        case ast.Expr(value=ast.Call(func=function) as check):
            check.func = call(_NOTE, function, function)


def _checks_again(node: ast.Try | ast.TryStar) -> bool:
    """Whether what follows a caught failure can still fail: it was expected, or one of several."""
    after = [each for one in (*node.handlers, *node.orelse) for each in ast.walk(one)]
    return any(
        isinstance(each, ast.Raise) or (isinstance(each, ast.stmt) and _is_assertion(each))
        for each in after
    )


def call(name: str, place: ast.AST, *arguments: ast.expr) -> ast.expr:
    """A call that replaces another node."""
    made = ast.Call(ast.Name(name, ast.Load()), [*arguments], [])
    ast.copy_location(made.func, place)
    return ast.copy_location(made, place)


def either(first: ast.expr, second: ast.expr) -> ast.expr:
    """``first or second``."""
    return ast.copy_location(ast.BoolOp(ast.Or(), [first, second]), first)


def precede(owner: type, name: str, hook: Callable[..., None]) -> None:
    """Makes a method call the hook, with its own arguments, before it runs."""
    method = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        hook(*arguments, *named.values())
        return method(*arguments, **named)

    setattr(owner, name, both)
