"""``result.json``: a run in one file, and everything that is looked up in it.

``load`` reads one, whichever version of the harness wrote it. The schema version has been 1 from
the first: keys that came later have defaults, which say that an older file does not know them.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import PrivateAttr

from harness.config.pricing import Basis, Pricing
from harness.errors import StoreError
from harness.io.jsonl import read_json, write_atomically
from harness.records import ERROR_STATUSES, Bound, Completion, Estimate, Record, Sample, Verdict
from harness.store.failures import FailureReason
from harness.store.manifest import MACHINE_TIME, BudgetPoint, Outcome, RunManifest, Session
from harness.store.run_files import Run

if TYPE_CHECKING:
    from pandas import DataFrame

RESULT_FILE = "result.json"


class Tally(NamedTuple):
    """The outcomes of one problem's requests."""

    solved: int = 0
    samples: int = 0
    """Samples with a verdict; errors are not among them."""
    errors: int = 0

    def add(self, outcome: Outcome) -> "Tally":
        """The tally with one request more."""
        if outcome.status in ERROR_STATUSES:
            return self._replace(errors=self.errors + 1)
        solved = self.solved + (outcome.status == "correct")
        return Tally(solved, self.samples + 1, self.errors)


def estimates_by_name(estimates: Iterable[Estimate]) -> dict[tuple[str, str | None], Estimate]:
    """Estimates under their metric and their task; None is the whole run."""
    return {(each.metric, each.task): each for each in estimates}


class RunResult(Record):  # noqa: PLW1641 - it holds dictionaries, which have no hash
    """``result.json``: a run in one file."""

    schema_version: Literal[1]
    manifest: RunManifest
    pricing: Pricing
    """The price list that cost was computed with."""
    estimates: tuple[Estimate, ...]
    budget_curve: tuple[BudgetPoint, ...] = ()
    """By task, the whole run first, and by rising budget; the last is the run's own."""
    outcomes: tuple[Outcome, ...]
    failures: tuple[FailureReason, ...] = ()
    """Why requests ended in errors, by kind, the most frequent first; none in an older result."""
    failed_attempts: tuple[Outcome, ...] = ()
    """Failed attempts that were followed by another: in no accuracy, but in the run's time, tokens
    and cost. The outcome of such a request is that of its last attempt."""

    _folder: Path | None = PrivateAttr(default=None)
    """The run's folder; None for a single ``result.json``."""

    def __eq__(self, other: object) -> bool:
        """Whether two results have the same content, wherever their files are."""
        return isinstance(other, RunResult) and self.__dict__ == other.__dict__

    def by_name(self) -> dict[tuple[str, str | None], Estimate]:
        """All estimates, each under its metric and its task; None is the whole run."""
        return estimates_by_name(self.estimates)

    def estimate(self, metric: str, task: str | None = None) -> Estimate:
        """The estimate of a metric; an undefined one where the result has none.

        Args:
            metric: ``accuracy``, ``output_tokens_per_s`` …
            task: None for the figure of the whole run.
        """
        return self.by_name().get((metric, task)) or Estimate(
            metric=metric, task=task, value=None, unit="", n=0, method="", undefined="not computed"
        )

    def cost_bound(self, basis: Basis) -> Bound | None:
        """``lower``: the machine was in use for longer than the cost of this basis counts.

        An older result has no machine time: it counts from the first start to the last finish of
        each session's answers, and what a killed session used beyond them is not in it.
        """
        if basis == "api":
            return None
        known = self.by_name()
        if (MACHINE_TIME, None) not in known:
            return "lower"
        cost = known.get((f"cost.{basis}", None))
        return None if cost is None else cost.bound

    def outcomes_of(self, task: str | None = None) -> tuple[Outcome, ...]:
        """The outcomes of one task, or all."""
        if task is None:
            return self.outcomes
        return tuple(each for each in self.outcomes if each.task == task)

    def tallies(self, task: str | None = None) -> dict[str, Tally]:
        """Solved, judged and lost samples of each problem, of one task or of all."""
        found: dict[str, Tally] = {}
        for outcome in self.outcomes_of(task):
            name = outcome.problem_id
            found[name] = found.get(name, Tally()).add(outcome)
        return found

    @property
    def has_texts(self) -> bool:
        """Whether the run's folder, with its prompts and answers, is on this machine."""
        return self._folder is not None

    @property
    def run(self) -> Run:
        """The run's files.

        Raises:
            StoreError: The result lies alone, without the run's folder.
        """
        if self._folder is None:
            raise StoreError(
                f"run {self.manifest.run_id}: its folder is not here, and result.json alone has "
                "no texts; load the run's folder"
            )
        return Run(self._folder)

    def samples(self) -> Iterator[Sample]:
        """Every sample with its text and its verdict, one at a time, read from the run's folder.

        Raises:
            StoreError: The result lies alone, without the run's folder, or a file is damaged.
        """
        return read_samples(self.run, self.manifest.sessions)

    def frame(self) -> "DataFrame":
        """A row for each sample: what ``outcomes`` has, with the task and the problem.

        What is unknown is ``NA``. Columns: ``task``, ``problem_id``, and the fields of ``Outcome``.
        """
        import pandas as pd

        rows = [
            {"task": each.task, "problem_id": each.problem_id, **each.model_dump()}
            for each in self.outcomes
        ]
        columns = ["task", "problem_id", *Outcome.model_fields]
        return pd.DataFrame(rows, columns=columns).convert_dtypes()

    def at(self, folder: Path) -> "RunResult":
        """The same result with the folder that ``samples`` reads."""
        self._folder = folder
        return self

    def write(self, folder: Path) -> None:
        """Replaces ``result.json`` in the run's folder."""
        write_atomically(folder / RESULT_FILE, self.model_dump_json(indent=1))


def load(path: Path) -> RunResult:
    """Loads a result.

    Args:
        path: A run's folder, or a ``result.json`` under any name.

    Raises:
        StoreError: There is none, it is damaged, or a newer harness wrote it.
    """
    file = path / RESULT_FILE if path.is_dir() else path
    result = read_json(file, RunResult)
    if file.name == RESULT_FILE and (file.parent / "completions.jsonl").is_file():
        result._folder = file.parent
    return result


def read_samples(
    run: Run,
    sessions: Sequence[Session],
    *,
    with_text: bool = True,
    superseded: list[Completion] | None = None,
) -> Iterator[Sample]:
    """The completions of a run, each with its verdict, one at a time.

    Args:
        run: Whose files are read.
        sessions: Of its manifest.
        with_text: False leaves every ``text`` empty, which is much faster.
        superseded: Takes the completions of requests that failed and were asked again.

    Raises:
        StoreError: A completion has no verdict, or a file is damaged.
    """
    verdicts = run.read_verdicts()
    for completion in run.read_completions(with_text=with_text, superseded=superseded):
        if completion.request_id not in verdicts:
            raise StoreError(
                f"run {run.run_id}: {completion.request_id} has no verdict; "
                f"harness score {run.shown} makes it"
            )
        yield sample_of(completion, verdicts[completion.request_id], sessions)


def outcome_of(completion: Completion, verdict: Verdict) -> Outcome:
    """One line of the result."""
    return Outcome(
        request_id=completion.request_id,
        status=verdict.status,
        extracted=verdict.extracted,
        finish_reason=completion.finish_reason,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        reasoning_tokens=completion.reasoning_tokens,
        queued_s=completion.queued_s,
        started_s=completion.started_s,
        first_token_s=completion.first_token_s,
        finished_s=completion.finished_s,
    )


def sample_of(completion: Completion, verdict: Verdict, sessions: Sequence[Session]) -> Sample:
    """One sample; its session is the last that had begun when the request was queued."""
    begun = completion.queued_s or completion.started_s or 0.0
    # Loading takes no part in the clock of a session, so a session is known by when it began.
    session = sum(begun >= each.clock_start_s for each in sessions) - 1
    return Sample(
        task=completion.request_id.task,
        problem_id=completion.request_id.problem_id,
        index=completion.request_id.sample,
        session=max(session, 0),
        completion=completion,
        verdict=verdict,
    )


def result_schema() -> dict[str, Any]:
    """JSON Schema of ``result.json``."""
    schema = RunResult.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
