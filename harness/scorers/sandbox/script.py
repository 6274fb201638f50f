"""Runs a whole program as ``python solution.py`` would run it in an otherwise empty folder.

It is ``__main__``, lies in a file that it can read, and ends as a script ends: its threads are
waited for, then its ``atexit`` callbacks run. It passes when it ends with exit status 0 at its end
and its own tests, as far as ``owntests`` can see them, ran and did not fail.
"""

import ast
import builtins
import importlib.machinery
import os
import re
import sys
import types
from collections.abc import Iterator
from typing import Any, NoReturn

from harness.scorers.sandbox.owntests import OwnTests, UntestedError
from harness.scorers.sandbox.program import PASS, limit_recursion, report
from harness.scorers.sandbox.protocol import Job

FILE_NAME = "solution.py"
_EXITS = frozenset({"sys.exit", "exit", "quit", "SystemExit"})
_WRITTEN_EXIT = re.compile(
    r"(raise )?(sys\.exit|exit|quit|SystemExit)(\((0|None|False)?\))?( from None)?"
)
_SITE_NAMES = re.compile(r"exit|quit|help|copyright|credits|license")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = (ast.If, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)

Position = tuple[int, int]
"""Line, and byte in the line."""
_Node = ast.stmt | ast.expr


def _add_builtins() -> None:
    """Adds the builtins that ``site`` adds when a script starts: ``exit``, ``quit``, ``help``."""
    import site

    site.setquit()
    site.setcopyright()
    site.sethelper()


def run_script(job: Job, code: bytes, verdict: int) -> NoReturn:
    """Runs a program that brings its own tests."""
    import atexit

    # The program may rebind whatever can be reached by name.
    write, leave, execute = os.write, os._exit, exec
    run_exit_callbacks = atexit._run_exitfuncs
    path = os.path.join(os.getcwd(), FILE_NAME)  # noqa: PTH109, PTH118
    try:
        source = job.program.removeprefix("\ufeff")
        namespace = _become_main(path, job.program)
        if _SITE_NAMES.search(source):
            _add_builtins()
        tests = OwnTests(path)
        program = compile(tests.watched(source), path, "exec", dont_inherit=True, optimize=0)
        try:
            execute(program, namespace)
        except SystemExit as leaving:
            _check_exit(leaving, source, path, tests)
        if threads := sys.modules.get("threading"):  # which costs much to load for nothing
            threads._shutdown()
        run_exit_callbacks()
        tests.check()
        write(verdict, PASS + code)
    except BaseException as error:  # noqa: BLE001 - SystemExit with another status, too
        report(error, {path: job.program}, verdict, write)
    leave(0)


def _become_main(path: str, source: str) -> dict[str, Any]:
    """Writes the script's file and makes its module; returns the module's names."""
    with open(path, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:  # noqa: PTH123
        file.write(source)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__dict__.update(
        __annotations__={},
        __builtins__=builtins,
        __cached__=None,
        __file__=path,
        __loader__=importlib.machinery.SourceFileLoader("__main__", path),
    )
    sys.path.insert(0, os.path.dirname(path))  # noqa: PTH120
    sys.argv = [FILE_NAME]
    sys.orig_argv = [sys.executable, FILE_NAME]
    limit_recursion()
    return module.__dict__


# --- leaving early --------------------------------------------------------------------------


def _check_exit(leaving: SystemExit, source: str, path: str, tests: OwnTests) -> None:
    """Allows an exit with status 0 only as the last thing that the program does.

    Any other status is raised again. An exit before that is no pass, because what follows, such as
    tests, has not run. A status that is written down says nothing, so a test must have run, or the
    program must be able to leave with another status.

    Raises:
        UntestedError: Something was left to do, or nothing was tested.
    """
    if not (leaving.code is None or (isinstance(leaving.code, int) and leaving.code == 0)):
        raise leaving
    tree = ast.parse(source)
    trace, last = leaving.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            last = _last_statement(tree, _position(trace))
            if last is None:
                text = source.splitlines()[trace.tb_lineno - 1].strip()
                raise UntestedError(f"left with exit status 0 before its end: {text}")
        trace = trace.tb_next
    is_written = last is not None and _WRITTEN_EXIT.fullmatch(ast.unparse(last))
    if is_written and not tests.has_begun and not _can_fail(tree):
        raise UntestedError(f"no test ran: {last and ast.unparse(last)}")


def _can_fail(tree: ast.Module) -> bool:
    """Whether the program itself has an exit with a written status that is not 0."""
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node.func) in _EXITS
        and any(isinstance(status, ast.Constant) and status.value for status in node.args)
        for node in ast.walk(tree)
    )


def _position(trace: types.TracebackType) -> Position:
    """The end of the call or statement that an exception passes through."""
    positions = list(trace.tb_frame.f_code.co_positions())
    _, line, _, column = positions[trace.tb_lasti // 2]
    return line or 0, column or 0


def _last_statement(tree: ast.Module, at: Position) -> ast.stmt | None:
    """The statement at this position if its function or module then has nothing left to do."""
    body: list[ast.stmt] = tree.body
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and any(_holds(each, at) for each in node.body):
            body = node.body  # outer functions come first
    while body and _holds(last := body[-1], at):
        if not isinstance(last, _BLOCKS):
            return last if at in _last_steps(last) else None
        body = next((block for block in _blocks(last) if any(_holds(s, at) for s in block)), [])
    return None


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The branches of a compound statement after which it is over."""
    if isinstance(statement, ast.Try | ast.TryStar):
        yield from (handler.body for handler in statement.handlers)
        yield statement.orelse or statement.body
        yield statement.finalbody
    elif isinstance(statement, ast.Match):
        yield from (case.body for case in statement.cases)
    else:
        yield from (getattr(statement, name, []) for name in ("body", "orelse"))


def _last_steps(statement: ast.stmt) -> Iterator[Position]:
    """The ends of the calls after which a simple statement is over, and where it raises."""
    value = getattr(statement, "exc" if isinstance(statement, ast.Raise) else "value", None)
    if isinstance(statement, ast.Raise):
        yield _end(statement)
    elif not isinstance(statement, ast.Expr | ast.Return):
        return
    if isinstance(value, ast.Await):
        value = value.value
    while isinstance(value, ast.Call):
        yield _end(value)
        is_exit = ast.unparse(value.func) in _EXITS and len(value.args) == 1
        value = value.args[0] if is_exit else None


def _end(node: _Node) -> Position:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset


def _holds(node: _Node, at: Position) -> bool:
    return (node.lineno, node.col_offset) < at <= _end(node)
