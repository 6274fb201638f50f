"""The definition of a task (``task.yaml``), and its selection on the command line."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from harness.errors import TaskError
from harness.io import paths
from harness.io.extensions import task_folders
from harness.io.paths import shown, task_dirs
from harness.io.yamlfile import read_yaml
from harness.records import Count, Record
from harness.scorers.build import is_scorer, scorer_names
from harness.tasks.mistakes import describe


class EmbeddedSource(Record):
    """A file next to ``task.yaml``, or anywhere on this machine."""

    kind: Literal["embedded"]
    file: str
    """A path relative to the folder of ``task.yaml``, or absolute."""

    def path_in(self, folder: Path) -> Path:
        """The file, or the folder of a saved data set; ``folder`` is that of ``task.yaml``."""
        return folder / Path(self.file).expanduser()

    @field_validator("file")
    @classmethod
    def _is_there(cls, file: str, info: ValidationInfo) -> str:
        folder: Path | None = info.context
        if folder is not None and not (folder / Path(file).expanduser()).exists():
            raise ValueError(f"no such file in {shown(folder)}")
        return file


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
    """The column of the problem's id; None: rows are numbered from 0."""
    question: str
    answer: str | None = None
    """For maths: the column of the right answer."""
    answer_after: str | None = None
    """The answer is what follows this mark in its column (GSM8K's ``####``)."""
    entry_point: str | None = None
    """For code: the column of the function's name."""
    test: str | None = None
    """For code: the column of the source of ``check(candidate)``."""
    subject: str | None = None
    level: str | None = None
    more: dict[str, str] = Field(default_factory=dict, exclude_if=lambda more: not more)
    """Columns for a scorer of another package, by that scorer's names."""

    def column(self, name: str) -> str | None:
        """The column of a scorer's field; None where the task names none."""
        known: str | None = getattr(self, name, None) if name in type(self).model_fields else None
        return self.more.get(name, known)


class ListedExample(Record):
    """A solved problem, written out."""

    question: str
    answer: str
    """The example's full answer, reasoning included."""


BEFORE_ANSWER = "\n\n"


class FewShot(Record):
    """The source of ``protocol.fewshot``'s examples: a list, or the rows of another data set."""

    examples: tuple[ListedExample, ...] = ()
    """Taken in this order."""
    sources: tuple[Source, ...] = ()
    """Tried in this order, after a local mirror; its columns are those of the problems."""
    mirror: tuple[str, ...] = ()
    """File names of a local mirror under ``data_dir``."""
    answer: str | None = None
    """The column of the full answer; None: ``fields.answer``."""
    before_answer: str = Field(BEFORE_ANSWER, exclude_if=lambda text: text == BEFORE_ANSWER)
    """Between an example's question and its answer where both are text and not turns."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if bool(self.examples) == bool(self.sources):
            raise ValueError("should have either examples or sources")
        return self


# A word in braces that is no argument of LaTeX, as in \boxed{answer}, \frac{a}{b} or x^{n}.
_LONE_FIELD = re.compile(r"(?<![\w\\{}^_])\{\s*\w+\s*\}(?!\})")

_NAME = r"[a-z0-9_]+"


class TaskSpec(Record):
    """The content of a ``task.yaml``."""

    name: str
    version: Annotated[int, Field(ge=1)]
    """Rises whenever prompt, problems or scorer change in a way that can move a score."""
    description: str
    source: str
    """The origin of the problems, as text."""
    licence: str
    prompt: str
    """The user's turn; ``{question}`` is replaced by the problem."""
    scorer: str
    fields: Fields
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Tried in this order, after a local mirror."""
    mirror: tuple[str, ...] = ()
    """File names of a local mirror under ``data_dir``, besides ``<name>.jsonl``."""
    fewshot: FewShot | None = None
    known_as: tuple[str, ...] = ()
    """Names of the task in other harnesses, for reading their logs; not part of the definition."""
    problems: Count | None = None
    """The required number of problems; None where it is not known yet."""
    problems_sha256: str | None = None
    """The required ``digest``; None where it is not known yet."""

    @field_validator("name")
    @classmethod
    def _is_the_folders(cls, name: str, info: ValidationInfo) -> str:
        folder: Path | None = info.context
        if folder is not None and name != folder.name:
            raise ValueError(f"should be the folder's name, {folder.name}")
        return name

    @field_validator("scorer")
    @classmethod
    def _is_known(cls, scorer: str) -> str:
        if is_scorer(scorer):
            return scorer
        *names, last = map(repr, scorer_names())
        raise ValueError(f"should be {', '.join(names)} or {last}")

    @field_validator("prompt")
    @classmethod
    def _asks_the_question(cls, prompt: str) -> str:
        if "{question}" in prompt:
            return prompt
        others = set(_LONE_FIELD.findall(prompt))
        meant = f"; {others.pop()} should be {{question}}" if len(others) == 1 else ""
        raise ValueError(f"should hold {{question}}, where the problem goes{meant}")


class Selection(NamedTuple):
    """``math500:100``: a task, and how many of its problems (None: all)."""

    task: str
    size: int | None

    def __str__(self) -> str:
        return self.task if self.size is None else f"{self.task}:{self.size}"


def task_names() -> list[str]:
    """The tasks that can be run."""
    return [name for name in _folders() if re.fullmatch(_NAME, name)]


def misnamed_tasks() -> list[str]:
    """One line for each folder whose name no selection can give."""
    return [
        f"tasks/{name}: a task's folder is named with small letters, digits and _"
        for name in _folders()
        if not re.fullmatch(_NAME, name)
    ]


def _folders() -> list[str]:
    folders = (*task_dirs(), *task_folders())
    return sorted({file.parent.name for each in folders for file in each.glob("*/task.yaml")})


def folder_of(name: str) -> Path | None:
    """The folder of a task: of the harness, a folder of the user's, or a package; None: no task.

    Raises:
        TaskError: There are two; names both.
    """
    files = (each / name / "task.yaml" for each in (*task_dirs(), *task_folders()))
    # A folder that is found in two ways is one task.
    found = list({file.resolve(): file.parent for file in files if file.is_file()}.values())
    if len(found) > 1:
        raise TaskError(
            f"tasks: two have the name {name}, {found[0]} and {found[1]}; rename one, or leave its "
            "folder or package out"
        )
    return next(iter(found), None)


def package_of(name: str) -> str | None:
    """``toy-package 1.0``: the package that brings a task; None for any other."""
    folder = folder_of(name)
    return None if folder is None else task_folders().get(folder.parent)


def parse_selection(text: str) -> Selection:
    """Reads ``name`` or ``name:n``, whether or not there is such a task here.

    Raises:
        TaskError: Another form, or a subset of nothing.
    """
    found = re.fullmatch(rf"({_NAME})(?::(-?\d+))?", text.strip())
    if not found:
        raise TaskError(f"tasks: '{text}' should be NAME or NAME:COUNT, such as math500:100")
    name, size = found[1], found[2]
    if size is not None and int(size) < 1:
        raise TaskError(f"tasks: '{text}' is an empty subset; COUNT must be at least 1")
    return Selection(name, None if size is None else int(size))


def known_selection(text: str) -> Selection:
    """As ``parse_selection``, and checks that the task exists.

    Raises:
        TaskError: Likewise, or there is no such task.
    """
    selection = parse_selection(text)
    _folder(selection.task)
    return selection


def _folder(name: str) -> Path:
    folder = folder_of(name)
    if folder is None:
        raise TaskError(f"tasks: no task '{name}'; there are {', '.join(task_names())}")
    return folder


def load_spec(name: str) -> TaskSpec:
    """Reads the ``task.yaml`` of a task; no data is read.

    Raises:
        TaskError: The file is missing or not a valid definition; lists every mistake.
    """
    folder = _folder(name)
    where = shown(folder / "task.yaml")
    try:
        raw = read_yaml(folder / "task.yaml", where, TaskError)
        return TaskSpec.model_validate(raw, context=folder)
    except ValidationError as error:
        raise TaskError(f"{where}: {describe(error, TaskSpec)}") from error


def own_definition_sha256(spec: TaskSpec) -> str | None:
    """Digest of the definition of a task from a user or a package, for the fingerprint.

    It holds no path and no description: a copy of the task elsewhere has the same. None for a task
    of the harness, whose version says it.
    """
    folder = folder_of(spec.name)
    if folder is None or folder.parent == paths.TASKS_DIR:
        return None
    asked = spec.model_dump(mode="json", include={"version", "prompt", "scorer", "fields"})
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _defined(spec: TaskSpec) -> dict[str, Any]:
    """The definition; without examples it is what it was before there were any."""
    left_out = {"known_as"} if spec.fewshot else {"known_as", "fewshot"}
    return spec.model_dump(mode="json", exclude=left_out)


def definition_sha256(spec: TaskSpec) -> str:
    """Digest of the whole definition, for the manifest."""
    return hashlib.sha256(json.dumps(_defined(spec), sort_keys=True).encode()).hexdigest()
