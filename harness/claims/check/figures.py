"""Entry point of ``harness check``: checks each published figure of a file."""

import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import computed_field

from harness.claims.check.protocol import overrides, possible, unknown_settings
from harness.claims.check.resolve import ModelFound, TaskFound, find_model, find_task, not_accuracy
from harness.claims.check.takes import Takes, plan_of
from harness.claims.check.verdicts import default_margin, evidence
from harness.claims.judge import opinion_of_runs, settle
from harness.claims.runs import AnyRun, read_runs
from harness.claims.verdict import Decision, Evidence
from harness.errors import HarnessError
from harness.interop.published_figures import PublishedFigure
from harness.quantities.published import answer_lengths
from harness.records import Record
from harness.store.run_files import runs_dir
from harness.tasks import load_spec

log = logging.getLogger(__name__)

_CHARACTERS_A_TOKEN = 2.5
"""Characters per token in English prompts with numbers, at least."""
_CHARACTERS_AN_EXAMPLE = 800
"""Characters of an example that is a row of a data set."""
_LEAST_PROMPT_TOKENS = 1024


class Asked(NamedTuple):
    """What a user adds to the file."""

    model: str | None = None
    """The model that the figures are of, where the file does not name it."""
    task: str | None = None
    """The task to run, where several ask the same problems, or none is found."""
    assumed: Mapping[str, Any] = MappingProxyType({})
    """Protocol settings that the user knows."""
    margin: float | None = None
    """The margin in points, more than 0; None: ``default_margin``."""
    plan_for: str | None = None
    """The machine to plan for; None: this one."""
    with_plan: bool = True


class Checked(Record):
    """Everything found out about one figure."""

    figure: PublishedFigure
    task: str | None
    """The task that would be run."""
    model: str | None
    """The value for ``model=``."""
    lacks: tuple[str, ...]
    """Why it cannot be reproduced here; empty where it can."""
    known: dict[str, Any]
    """The known protocol settings."""
    assumed: tuple[str, ...]
    """Which of these the user knows and not the file."""
    unknown: tuple[str, ...]
    """Settings of the protocol that nothing states."""
    command: str | None
    """The command that makes the run, quoted for a shell."""
    takes: Takes | None
    margin_points: float | None
    verdict: Decision
    """The verdict of the fitting run with the most samples."""
    evidence: tuple[Evidence, ...]
    caveats: tuple[str, ...]
    """Caveats that apply whatever the runs show."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def is_reproducible(self) -> bool:
        """Whether a run on this machine could be compared with it."""
        return not self.lacks


def check_figures(
    figures: Sequence[PublishedFigure], asked: Asked, runs: Sequence[AnyRun] = ()
) -> list[Checked]:
    """For each figure: what it takes to reproduce it, and what runs show.

    The tests by which runs can challenge the figures of one file are one family (Holm).

    Raises:
        UserError: A task or model that the user names does not exist.
    """
    prepared = [_prepared(figure, asked) for figure in figures]
    found = settle([each.evidence(asked, runs) for each in prepared])
    return [each.checked(asked, mine) for each, mine in zip(prepared, found, strict=True)]


def runs_to_check(given: Sequence[str], results_dir: Path) -> list[AnyRun]:
    """The runs that are given; none given: every finished one of the folder.

    Raises:
        StoreError: One that is given is none.
    """
    return read_runs(given, results_dir) if given else list(_finished(results_dir))


def _finished(results_dir: Path) -> Iterator[AnyRun]:
    for file in sorted(runs_dir(results_dir).glob("*/result.json")):
        try:
            yield from read_runs([str(file.parent)], results_dir)
        except HarnessError as error:
            log.warning("left out: %s", error)


class _Prepared(NamedTuple):
    figure: PublishedFigure
    task: TaskFound
    model: ModelFound
    known: dict[str, Any]
    impossible: list[str]
    """Protocol values in its file that no run can have."""

    def evidence(self, asked: Asked, runs: Sequence[AnyRun]) -> list[Evidence]:
        """The evidence of the runs."""
        margin = self.margin(asked)
        if self.lacks() or margin is None:
            return []
        return evidence(self.figure, self.task.names, self.model, self.known, margin, runs)

    def lacks(self) -> tuple[str, ...]:
        """Why it cannot be reproduced here."""
        metric = not_accuracy(self.figure)
        model = None
        if self.model.argument is None:
            named = self.figure.model
            model = (
                "its file names no model; --model ORG/NAME or a folder names it"
                if named is None
                else f"model {named} is no file of conf/model, repository or folder"
            )
        return tuple(filter(None, (self.task.why_not, metric, model)))

    def margin(self, asked: Asked) -> float | None:
        """Points within which it counts as reproduced; None: there is no such margin."""
        percent = self.figure.percent
        if asked.margin is not None or percent is None:
            return asked.margin
        return default_margin(percent)

    def checked(self, asked: Asked, found: tuple[Evidence, ...]) -> Checked:
        """The complete result for one figure."""
        lacks = self.lacks()
        arguments = None if lacks else _arguments(self)
        command = None if arguments is None else f"harness run {shlex.join(arguments)}"
        return Checked(
            figure=self.figure.model_copy(update={"model": self.figure.model or asked.model}),
            task=self.task.names[0] if self.task.names else None,
            model=self.model.argument,
            lacks=lacks,
            known=self.known,
            assumed=tuple(asked.assumed),
            unknown=unknown_settings(self.known),
            command=command,
            takes=_takes(arguments, asked) if arguments and asked.with_plan else None,
            margin_points=None if lacks else self.margin(asked),
            verdict=opinion_of_runs("published_score", found, command).verdict,
            evidence=found,
            caveats=tuple(_caveats(self, asked)),
        )


def _prepared(figure: PublishedFigure, asked: Asked) -> _Prepared:
    stated, impossible = possible(figure.protocol)
    known = {**stated, **asked.assumed}
    task = find_task(figure, known.get("fewshot"), asked.task)
    return _Prepared(figure, task, find_model(asked.model or figure.model), known, impossible)


def _caveats(each: _Prepared, asked: Asked) -> list[str]:
    figure = each.figure
    caveats = []
    if figure.reading and figure.percent is not None:
        caveats.append(figure.reading)
    if each.model.other_weights:
        caveats.append(f"other weights here: {each.model.other_weights}")
    if figure.is_signed:
        caveats.append("its verifyToken can be checked by the hub alone")
    if figure.metric is None and figure.percent is not None:
        caveats.append("its file names no metric: taken for the share of problems solved")
    if figure.percent is not None and each.margin(asked) is None:
        caveats.append(
            f"no margin for {figure.percent:g} %, so nothing is judged; --margin sets one"
        )
    caveats += [f"its file states what no run can have: {value}" for value in each.impossible]
    if asked.assumed:
        caveats.append(f"assumed, not stated in its file: {', '.join(asked.assumed)}")
    others = each.task.names[1:]
    if others:
        caveats.append(f"the same problems in another form: --task {' or '.join(others)}")
    return caveats


# --- the command ------------------------------------------------------------------------------


def _arguments(each: _Prepared) -> list[str]:
    """The arguments for ``harness run``."""
    task, model, known = each.task.names[0], each.model.argument, each.known
    assert model is not None, "a figure without a model is not reproducible"
    is_thinking = model in answer_lengths()["reasoning"].models
    return [
        f"model={model}",
        f"tasks=[{task}]",
        f"protocol={'deepseek_r1' if is_thinking else 'greedy_long'}",
        *overrides(known),
        *_room_for_examples(task, known.get("fewshot") or 0),
    ]


def _takes(arguments: list[str], asked: Asked) -> Takes:
    machine = [] if asked.plan_for is None else [f"plan_for={asked.plan_for}"]
    return plan_of([*arguments, *machine])


def _room_for_examples(task: str, shots: int) -> list[str]:
    """A budget of prompt tokens that holds the examples, as a power of two."""
    fewshot = load_spec(task).fewshot
    if not shots or fewshot is None:
        return []
    longest = max(
        (len(e.question) + len(e.answer) for e in fewshot.examples), default=_CHARACTERS_AN_EXAMPLE
    )
    needed = (shots + 1) * longest / _CHARACTERS_A_TOKEN
    tokens = _LEAST_PROMPT_TOKENS
    while tokens < needed:
        tokens *= 2
    return [] if tokens == _LEAST_PROMPT_TOKENS else [f"protocol.max_prompt_tokens={tokens}"]
