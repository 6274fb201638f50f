"""The functions of ``import harness``: the commands, for notebooks and programs.

Each returns an object and prints nothing to stdout; each raises the ``HarnessError`` whose line the
command would print.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic import ValidationError

from harness.analysis.comparison import Comparison, Options, compare_sides, read_side
from harness.analysis.leaderboard import (
    LeftOut,
    RankedList,
    Selection,
    rank,
    read_rows,
)
from harness.analysis.leaderboard.files import lines
from harness.analysis.leaderboard.foreign import ForeignRow, foreign_rows
from harness.errors import UserError
from harness.io.mistakes import first_mistake
from harness.io.paths import default_results_dir, includes_restored
from harness.io.paths import include as include_folders
from harness.records import Grade
from harness.runner.finished import Finished
from harness.store.result import RunResult
from harness.store.result import load as load_result
from harness.store.run_files import find_run

if TYPE_CHECKING:
    from pandas import DataFrame

    from harness.claims.check import Checked
    from harness.scorers.base import GradeLine, LineScorer


def run(
    model: str | None = None,
    tasks: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
    include: Sequence[str | Path] = (),
) -> Finished:
    """Runs one benchmark in this process, as ``harness run`` does; progress goes to stderr.

    Args:
        model: A name in ``conf/model``, a folder, or ``org/name`` on the hub; None: as configured.
        tasks: Names, each with a count after a colon if only some problems are meant:
            ``["humaneval:20", "math_mini"]``; None: as configured.
        overrides: As on the command line: ``["engine=transformers", "seed=1"]``.
        include: Folders whose ``conf/`` and ``tasks/`` are seen too, in this run alone.

    Returns:
        The run's folder, its result and its exit status.

    Raises:
        HarnessError: The run did not finish. What was generated is kept; the override
            ``resume=auto`` continues the run.
    """
    from harness.runner.compose import compose_one
    from harness.runner.run import run as run_one
    from harness.runner.trackers import track

    named = [] if model is None else [f"model={model}"]
    if tasks is not None:
        named.append(f"tasks=[{','.join(tasks)}]")
    with includes_restored():
        include_folders(include, "include")
        finished = run_one(compose_one([*named, *overrides]))
        if finished.result is not None:
            track(finished.result.manifest.config.tracker, finished.result, finished.folder)
        return finished


def load(run: str | Path, results_dir: Path | None = None) -> RunResult:
    """Reads the result of a run.

    Args:
        run: A run's folder, a ``result.json`` under any name, or the id of a run, or its beginning.
        results_dir: Where runs are looked for by their id; None: ``results/``.

    Raises:
        StoreError: There is none, it is damaged, or a newer harness wrote it.
    """
    path = Path(run)
    if not path.exists():
        path = find_run(str(run), results_dir or default_results_dir()).folder
    return load_result(path)


def compare(
    baseline: str | Path,
    *candidates: str | Path,
    margin: float = 0.0,
    equivalence: float | None = None,
    allow_protocol_mismatch: Iterable[str] = (),
    task: str | None = None,
    results_dir: Path | None = None,
) -> Comparison:
    """Compares runs on the same problems, as ``harness compare`` does.

    Args:
        baseline: A run's folder, a ``result.json``, the id of a run, or another harness's log.
        candidates: What is compared with it, at least one.
        margin: Percentage points by which a candidate may be worse.
        equivalence: Percentage points within which two scores count as equal.
        allow_protocol_mismatch: Fields of the protocol that may differ.
        task: Which of our tasks another harness's log is about; None: as its own names tell.
        results_dir: Where runs are looked for by their id; None: ``results/``.

    Raises:
        UserError: An argument is not what it should be.
        NotComparableError: The protocols differ.
    """
    folder = results_dir or default_results_dir()
    return compare_sides(
        read_side(str(baseline), folder, task),
        [read_side(str(each), folder, task) for each in candidates],
        Options(margin, equivalence, tuple(allow_protocol_mismatch)),
    )


def check(
    target: str | Path,
    runs: Sequence[str | Path] = (),
    *,
    model: str | None = None,
    assume: Sequence[str] = (),
    margin: float | None = None,
    results_dir: Path | None = None,
) -> "list[Checked]":
    """Judges published figures: can they be reproduced, what do runs show? As ``harness check``.

    Args:
        target: A model card, ``.eval_results``, a file of Every Eval Ever, or ``STUDY:TABLE``.
        runs: Set against the figures; none: every finished run of ``results_dir``.
        model: The model that the figures are of, where the file does not say it.
        assume: What you know of their protocol: ``["fewshot=0"]``.
        margin: Percentage points within which a figure counts as reproduced.
        results_dir: Where runs are; None: ``results/``.

    Raises:
        UserError: The target or an argument is not what it should be, or has no figures.
        StoreError: A run is none.
    """
    from harness.claims.check import Asked, check_target, runs_to_check
    from harness.claims.check.protocol import assumed

    asked = Asked(model=model, assumed=assumed(assume), margin=margin)
    found = runs_to_check([str(each) for each in runs], results_dir or default_results_dir())
    return check_target(str(target), asked, found)


class Leaderboard(NamedTuple):
    """All finished runs of a folder, ranked."""

    lists: tuple[RankedList, ...]
    """One list for each task and protocol. Ranks in different lists are not comparable."""
    left_out: tuple[LeftOut, ...]
    """Files that are in no list, each with the reason."""
    foreign: tuple[ForeignRow, ...] = ()
    """Scores of other harnesses' logs: in no list and no rank."""

    def frame(self) -> "DataFrame":
        """A row for each run in each list, with the columns of ``harness leaderboard --csv``."""
        import pandas as pd

        return pd.DataFrame(list(lines(self.lists))).convert_dtypes()


def leaderboard(
    results_dir: str | Path | None = None,
    *,
    tasks: Sequence[str] = (),
    models: Sequence[str] = (),
    protocols: Sequence[str] = (),
    logs: Sequence[str | Path] = (),
) -> Leaderboard:
    """Ranks all finished runs of a folder, as ``harness leaderboard`` does.

    Args:
        results_dir: None: ``results/``.
        tasks: Only these, of runs and logs; nothing given is everything. A log whose own names do
            not say which of our tasks it is about is about one of these.
        models: Only runs of these.
        protocols: Only runs of these: names, or first digits of fingerprints.
        logs: Logs of other harnesses, whose scores are shown beside the lists.

    Raises:
        UserError: Nothing has the task, model or protocol that is asked for.
    """
    asked = Selection(tasks=tuple(tasks), models=tuple(models), protocols=tuple(protocols))
    folder = default_results_dir() if results_dir is None else Path(results_dir)
    foreign = foreign_rows((Path(log) for log in logs), asked.tasks)
    contents = read_rows(folder, asked, [each.task for each in foreign])
    return Leaderboard(tuple(rank(contents.rows)), tuple(contents.left_out), tuple(foreign))


def grade(
    kind: str, answers: Iterable[Mapping[str, Any]], workers: int | None = None
) -> list[Grade]:
    """Grades answers that were made elsewhere, in their order.

    Args:
        kind: ``math``: each has ``output``, a model's whole output, and ``gold``, the right answer.
            ``python``: each has ``program``, with its tests, and perhaps ``time_limit_s``.
        answers: What is graded; other keys are left alone.
        workers: Processes that grade at once; None: one for each core.

    Raises:
        UserError: An answer lacks a key.
        ConfigError: No scorer grades answers of this kind.
        UnavailableError: No sandbox level is available that is safe enough.
    """
    from harness.io.in_order import in_order
    from harness.machine.hardware import usable_cores
    from harness.scorers.build import graded_by_lines, standard_settings

    count = workers or len(usable_cores())
    definition = graded_by_lines(kind)
    lines = (_line(definition.line, each, place) for place, each in enumerate(answers, start=1))
    with definition.build(standard_settings(count)) as scorer:
        return list(in_order(lines, cast("LineScorer", scorer).grade_line, count))


def _line(kind: "type[GradeLine]", answer: Mapping[str, Any], place: int) -> "GradeLine":
    try:
        return kind.model_validate({"id": place, **answer})
    except ValidationError as error:
        raise UserError(f"answer {place}: {first_mistake(error)}") from error
