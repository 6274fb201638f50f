"""Tasks: definitions in ``tasks/<name>/task.yaml``, their problems, and the subset of a run.

A task is a definition, not a knob: nothing in it can be overridden from the command line, so
nobody publishes another benchmark under the same name. Its problems may come from several places
(this repository, a Python package, the hub, a local mirror); the digest over the problems says
that they are the same wherever they came from.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, assert_never

import yaml
from pydantic import Field, ValidationError

from harness.errors import TaskError, UnavailableError
from harness.paths import TASKS_DIR, cache_dir
from harness.records import CodeReference, Count, MathReference, Problem, Record, Reference

DATA_DIR_VARIABLE = "HARNESS_DATA_DIR"


class EmbeddedSource(Record):
    """A file next to ``task.yaml``."""

    kind: Literal["embedded"]
    file: str


class PackageSource(Record):
    """A data file that an installed Python package ships."""

    kind: Literal["package"]
    package: str
    file: str


class HubSource(Record):
    """A data set on the Hugging Face hub."""

    kind: Literal["hub"]
    hub_id: str
    revision: str | None = None
    config: str | None = None
    split: str


Source = Annotated[EmbeddedSource | PackageSource | HubSource, Field(discriminator="kind")]


class Fields(Record):
    """Which column of the data set holds what. A column that does not exist is an error."""

    problem_id: str | None = None
    """None: rows are numbered from 0."""
    question: str
    answer: str | None = None
    """For maths: the right answer."""
    answer_after: str | None = None
    """The answer is what follows this mark in its column (GSM8K's ``####``)."""
    entry_point: str | None = None
    """For code: the name of the function."""
    test: str | None = None
    """For code: source of ``check(candidate)``."""
    subject: str | None = None
    level: str | None = None


ScorerName = Literal["math_answer", "python_tests"]


class TaskSpec(Record):
    """``task.yaml``."""

    name: str
    version: Annotated[int, Field(ge=1)]
    """Rises whenever prompt, problems or scorer change in a way that can move a score."""
    description: str
    source: str
    """Where the problems come from, for people."""
    licence: str
    prompt: str
    """The user's turn; ``{question}`` stands for the problem."""
    scorer: ScorerName
    fields: Fields
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Tried in this order, after a local mirror."""
    mirror: tuple[str, ...] = ()
    """File names of a local mirror under ``data_dir``, besides ``<name>.jsonl``."""
    problems: Count | None = None
    """How many there must be; None where nobody could count them yet."""
    problems_sha256: str | None = None
    """What ``digest`` must give; None where nobody could compute it yet."""


class Selection(NamedTuple):
    """``math500:100``: a task, and how many of its problems (None: all)."""

    task: str
    size: int | None

    def __str__(self) -> str:
        return self.task if self.size is None else f"{self.task}:{self.size}"


class Task(Record):
    """A task with the problems that a run asks."""

    spec: TaskSpec
    selection: str
    """As given: ``math500:100``."""
    problems: tuple[Problem, ...]
    """Sorted by id."""
    full_size: Count
    """How many problems the whole task has."""
    full_sha256: str
    """Digest of all problems of the task."""
    subset_sha256: str
    """Digest of the ids of the chosen ones."""
    origin: str
    """Where they were read from."""


def task_names() -> list[str]:
    """The tasks that exist."""
    return sorted(folder.parent.name for folder in TASKS_DIR.glob("*/task.yaml"))


def parse_selection(text: str) -> Selection:
    """Reads ``name`` or ``name:n``.

    Raises:
        TaskError: Another form, an unknown task, or a subset of nothing.
    """
    found = re.fullmatch(r"([a-z0-9_]+)(?::(-?\d+))?", text.strip())
    if not found:
        raise TaskError(f"tasks: '{text}' should be NAME or NAME:COUNT, such as math500:100")
    name, size = found[1], found[2]
    if name not in task_names():
        raise TaskError(f"tasks: no task '{name}'; there are {', '.join(task_names())}")
    if size is not None and int(size) < 1:
        raise TaskError(f"tasks: '{text}' is an empty subset; COUNT must be at least 1")
    return Selection(name, None if size is None else int(size))


def load_spec(name: str) -> TaskSpec:
    """Reads ``tasks/<name>/task.yaml``; no data is touched.

    Raises:
        TaskError: The file is missing or not a valid definition.
    """
    file = TASKS_DIR / name / "task.yaml"
    if not file.is_file():
        raise TaskError(f"tasks: no task '{name}'; there are {', '.join(task_names())}")
    try:
        return TaskSpec.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise TaskError(f"tasks/{name}/task.yaml: {' '.join(str(error).split())}") from error


def load_task(selection: Selection, data_dir: Path | None = None) -> Task:
    """Loads a task's problems and chooses the subset.

    Args:
        selection: Which task, how many problems.
        data_dir: A folder of local mirrors; ``HARNESS_DATA_DIR`` when None.

    Raises:
        TaskError: The data is not what the definition says, or has fewer problems than asked for.
        UnavailableError: No source of the data can be reached.
    """
    spec = load_spec(selection.task)
    rows, origin = _read_rows(spec, data_dir)
    problems = _problems(spec, rows, origin)
    full_sha256 = digest(problems)
    if spec.problems_sha256 not in (None, full_sha256):
        raise TaskError(
            f"task {spec.name}: the {len(problems)} problems in {origin} have digest "
            f"{full_sha256[:12]}, its definition says {str(spec.problems_sha256)[:12]}; "
            "this is another benchmark"
        )
    chosen = stratified_subset(problems, selection.size, str(selection))
    return Task(
        spec=spec,
        selection=str(selection),
        problems=tuple(sorted(chosen, key=lambda problem: problem.problem_id)),
        full_size=len(problems),
        full_sha256=full_sha256,
        subset_sha256=_ids_sha256(chosen),
        origin=origin,
    )


def digest(problems: Iterable[Problem]) -> str:
    """The identity of a set of problems: their full content, in no order."""
    lines = sorted(problem.model_dump_json() for problem in problems)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stratified_subset(
    problems: Sequence[Problem], size: int | None, asked: str
) -> Sequence[Problem]:
    """A fixed draw that stands for the whole, the same on every machine.

    The problems are lined up by subject and level, in an order given by a hash of the id within a
    level; levels run up in one subject and down in the next, so that neighbours resemble each
    other. The line is cut into ``size`` equal runs and the middle of each is taken. Every subject
    gets its share to within one problem. First-n would be wrong: data sets are often sorted.

    Raises:
        TaskError: More are asked for than there are.
    """
    if size is None or size == len(problems):
        return problems
    if size > len(problems):
        raise TaskError(f"tasks: '{asked}' asks for more than the {len(problems)} problems there are")
    subjects = {name: i for i, name in enumerate(sorted({p.subject or "" for p in problems}))}

    def place(problem: Problem) -> tuple[int, int, str]:
        subject = subjects[problem.subject or ""]
        level = problem.level or 0
        name = hashlib.sha256(problem.problem_id.encode()).hexdigest()
        return subject, level if subject % 2 == 0 else -level, name

    line = sorted(problems, key=place)
    return [line[(2 * i + 1) * len(line) // (2 * size)] for i in range(size)]


def _ids_sha256(problems: Iterable[Problem]) -> str:
    ids = sorted(problem.problem_id for problem in problems)
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()


# --- reading ----------------------------------------------------------------------------------


def planned_origin(spec: TaskSpec, data_dir: Path | None = None) -> tuple[str, bool]:
    """Where the problems would be read from, and whether that needs the network."""
    if mirror := _find_mirror(spec, data_dir):
        return str(mirror), False
    for source in spec.sources:
        if isinstance(source, HubSource):
            return f"{source.hub_id} (Hugging Face hub)", True
        if file := _source_file(spec, source):
            return _file_origin(source, file), False
    return "nowhere", True


def _read_rows(spec: TaskSpec, data_dir: Path | None) -> tuple[list[Mapping[str, Any]], str]:
    if mirror := _find_mirror(spec, data_dir):
        return _read_file(spec, mirror), f"mirror {mirror.name}"
    failures = []
    for source in spec.sources:
        if isinstance(source, HubSource):
            try:
                return _read_hub(source), f"hub {source.hub_id}@{source.revision or 'main'}"
            except (OSError, ValueError) as error:
                reason = str(error).strip().splitlines()[0]
                failures.append(f"hub {source.hub_id}: {type(error).__name__}: {reason[:160]}")
        elif file := _source_file(spec, source):
            return _read_file(spec, file), _file_origin(source, file)
        else:
            failures.append(f"{source.kind} {source.file}: not there")
    names = " or ".join(_mirror_names(spec))
    raise UnavailableError(
        f"task {spec.name}: its problems cannot be had ({'; '.join(failures)}); put a mirror "
        f"named {names} into a folder and set data_dir (or {DATA_DIR_VARIABLE}) to it"
    )


def _mirror_names(spec: TaskSpec) -> tuple[str, ...]:
    return (f"{spec.name}.jsonl", *spec.mirror)


def _find_mirror(spec: TaskSpec, data_dir: Path | None) -> Path | None:
    named = os.environ.get(DATA_DIR_VARIABLE)
    folder = data_dir or (Path(named) if named else None)
    if folder is None:
        return None
    if not folder.expanduser().is_dir():
        raise TaskError(f"data_dir={folder}: no such folder; give a folder of local mirrors")
    files = (folder.expanduser() / name for name in _mirror_names(spec))
    return next((file for file in files if file.is_file()), None)


def _source_file(spec: TaskSpec, source: EmbeddedSource | PackageSource) -> Path | None:
    match source:
        case EmbeddedSource():
            file = TASKS_DIR / spec.name / source.file
        case PackageSource():
            found = find_spec(source.package)
            if found is None or not found.submodule_search_locations:
                return None
            file = Path(next(iter(found.submodule_search_locations))) / source.file
        case _:
            assert_never(source)
    return file if file.is_file() else None


def _file_origin(source: EmbeddedSource | PackageSource, file: Path) -> str:
    if isinstance(source, PackageSource):
        return f"package {source.package}"
    return f"embedded {file.name}"


def _read_file(spec: TaskSpec, file: Path) -> list[Mapping[str, Any]]:
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(
            "parquet" if file.suffix == ".parquet" else "json",
            data_files=str(file),
            split="train",
            cache_dir=str(cache_dir() / "datasets"),
        )
    except (DatasetGenerationError, ValueError) as error:
        cause = error.__cause__ or error
        reason = str(cause).strip().splitlines()[0]
        raise TaskError(f"task {spec.name}: {file} cannot be read: {reason[:200]}") from error
    return list(loaded)


def _read_hub(source: HubSource) -> list[Mapping[str, Any]]:
    import datasets

    datasets.disable_progress_bars()
    return list(
        datasets.load_dataset(
            source.hub_id, source.config, split=source.split, revision=source.revision
        )
    )


def _problems(
    spec: TaskSpec, rows: Sequence[Mapping[str, Any]], origin: str
) -> tuple[Problem, ...]:
    problems = tuple(_problem(spec, number, row, origin) for number, row in enumerate(rows))
    if len({problem.problem_id for problem in problems}) != len(problems):
        raise TaskError(f"task {spec.name}: a problem id stands twice in {origin}")
    if spec.problems not in (None, len(problems)):
        raise TaskError(
            f"task {spec.name}: {origin} has {len(problems)} problems, "
            f"its definition says {spec.problems}"
        )
    if not problems:
        raise TaskError(f"task {spec.name}: {origin} has no problems")
    return problems


def _problem(spec: TaskSpec, number: int, row: Mapping[str, Any], origin: str) -> Problem:
    fields = spec.fields

    def column(name: str) -> Any:
        if name not in row:
            raise TaskError(
                f"task {spec.name}: row {number} of {origin} has no column '{name}'; "
                f"it has {', '.join(row)}"
            )
        return row[name]

    own_id = str(number).zfill(4) if fields.problem_id is None else column(fields.problem_id)
    level = None if fields.level is None else column(fields.level)
    return Problem(
        problem_id=f"{spec.name}/{own_id}",
        question=str(column(fields.question)),
        reference=_reference(spec, column),
        subject=None if fields.subject is None else str(column(fields.subject)),
        # MATH-500 has 3, MATH "Level 3"
        level=None if level is None else int(str(level).removeprefix("Level ")),
    )


def _reference(spec: TaskSpec, column: Any) -> Reference:
    fields = spec.fields
    if spec.scorer == "math_answer" and fields.answer is not None:
        answer = str(column(fields.answer))
        if fields.answer_after is not None:
            answer = answer.rpartition(fields.answer_after)[2]
        return MathReference(answer=answer.strip())
    if spec.scorer == "python_tests" and fields.entry_point is not None and fields.test is not None:
        return CodeReference(
            prompt=str(column(fields.question)),
            entry_point=str(column(fields.entry_point)),
            test=str(column(fields.test)),
        )
    raise TaskError(
        f"task {spec.name}: scorer {spec.scorer} needs fields.answer (maths) "
        "or fields.entry_point and fields.test (code)"
    )


def definition_sha256(spec: TaskSpec) -> str:
    """Digest of the whole definition, for the manifest."""
    return hashlib.sha256(json.dumps(spec.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
