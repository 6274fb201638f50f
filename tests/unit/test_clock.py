"""No figure depends on the wall clock: somebody may set it, and it is set in summer and winter."""

import ast
from collections.abc import Iterator
from pathlib import Path

import harness

PACKAGE = Path(harness.__file__).parent
STAMPS = {
    *("cli/nightly.py", "cli/new.py", "cli/rerun.py", "runner/execute.py", "runner/sessions.py"),
    *(
        "analysis/status.py",
        "engines/request_error.py",
        "runner/prepare_new.py",
        "store/run_files.py",
    ),
    *("runner/ending.py", "runner/sweep/launchers.py"),
}
"""Where the time of day is written down, for people: in manifests, a run's name, a night's date; or
where the age of a file says whether somebody still writes it, or a server names the date until
which it asks to wait."""
WALL_CLOCK = {
    "time.time", "time.time_ns", "time.ctime", "time.localtime", "time.gmtime", "datetime.now",
    "datetime.utcnow", "datetime.today", "date.today",
}  # fmt: skip


def calls(file: Path) -> Iterator[tuple[str, int]]:
    """Every call of something like ``module.name``, and its number of arguments."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            yield f"{name}.{node.func.attr}", len(node.args)
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from ((f"time.{each.name}", 0) for each in node.names)


def test_the_time_of_day_is_only_written_down() -> None:
    found = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for name, _ in calls(file)
        if name in WALL_CLOCK
    }
    assert found <= STAMPS
    assert "store/run_files.py" in found, "the search finds nothing"


def test_the_time_of_day_is_written_down_in_utc() -> None:
    for name in STAMPS:
        bare = [
            call
            for call, arguments in calls(PACKAGE / name)
            if call in WALL_CLOCK and not arguments
        ]
        assert not bare, f"{name} takes the time of a zone that it does not know"
