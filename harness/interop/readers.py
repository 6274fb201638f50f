"""Results that another harness wrote: its outputs and verdicts under our problems' ids.

Two formats are read.

``lm-evaluation-harness`` (``samples_<task>_<date>.jsonl``; read from the writers
``evaluator.py`` and ``loggers/evaluation_tracker.py`` of lm_eval 0.4.13): a line for each document
and filter with ``doc``, ``resps``, ``filtered_resps``, ``arguments`` and a key for each metric.

``evalplus`` (``*_eval_results.json``; ``evaluate.py`` of evalplus 0.3.1): ``eval`` holds for each
problem a list of ``solution``, ``base_status`` and ``plus_status``.

Neither has token counts, times, seeds or the model's name. What they do not say is left out here
and nowhere guessed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.errors import UserError
from harness.records import Count, MathReference, Problem, Record
from harness.tasks import load_task, parse_selection
from harness.tasks.subset import ids_sha256

Harness = Literal["lm-evaluation-harness", "evalplus"]

_METRICS = {"math500": ("math_verify", "exact_match"), "humaneval": ("pass@1",)}
"""By task, the metrics of lm-evaluation-harness that count as its verdict, the best first."""
_LM_EVAL_NAME = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT.*\.jsonl")
_STATUSES = {"pass": True, "fail": False, "timeout": False}
"""evalplus's verdicts."""


class ForeignProblem(Record):
    """One problem of such a file."""

    problem: Problem
    """Ours, or for maths one with the reference that the file gives."""
    outputs: tuple[str, ...]
    """What the model wrote, or as much of it as the file keeps."""
    graded: tuple[str, ...]
    """What their grader took: for code the whole program."""
    solved: Count
    """How many of the first ``judged`` outputs their grader accepted."""
    judged: Count
    statuses: tuple[Literal["correct", "incorrect"] | None, ...]
    """Of each judged output; None where their file has one figure for several."""


class ForeignLog(Record):
    """A file of another harness about one of our tasks."""

    file: str
    harness: Harness
    task: str
    """Ours: ``math500``."""
    fields: dict[str, Any]
    """What is known of its protocol, by our fields' names. What is not here is unknown."""
    problems: tuple[ForeignProblem, ...]
    left_out: Count
    """Problems of the file that our task does not have."""


def harness_of(file: Path) -> Harness | None:
    """Which harness wrote a file, by its beginning; None when none of these did."""
    try:
        with file.open(encoding="utf-8") as stream:
            head = stream.read(4096)
    except (OSError, UnicodeDecodeError):
        return None
    if re.match(r'\s*\{\s*"doc_id"', head):
        return "lm-evaluation-harness"
    if re.match(r'\s*\{\s*"(date|hash|eval)"', head) and '"eval"' in head:
        return "evalplus"
    return None


def read_foreign(file: Path) -> ForeignLog:
    """Reads one file.

    Raises:
        UserError: It is of neither format, damaged, or about a task that we do not have.
        UnavailableError: Our own task's problems are needed and cannot be had.
    """
    harness = harness_of(file)
    try:
        return _read(file, harness)
    except (ValueError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{file}: not as {harness} writes it: {reason}") from error


def _read(file: Path, harness: Harness | None) -> ForeignLog:
    match harness:
        case "lm-evaluation-harness":
            return _read_lm_eval(file)
        case "evalplus":
            return _read_evalplus(file)
        case None:
            raise UserError(
                f"{file}: neither a sample log of lm-evaluation-harness (lines with doc_id, doc, "
                "resps) nor a result file of evalplus (an object with eval)"
            )


def _log(file: Path, harness: Harness, task: str, scorer: str, **rest: Any) -> ForeignLog:
    problems: list[ForeignProblem] = rest["problems"]
    if not problems:
        raise UserError(f"{file}: none of its problems is one of task {task}")
    ids = [each.problem.problem_id for each in problems]
    twice, times = Counter(ids).most_common(1)[0]
    if times > 1:
        raise UserError(f"{file}: {twice} stands there twice; give the log of one evaluation")
    fields = {
        "task": task,
        "subset_sha256": ids_sha256(each.problem for each in problems),
        "samples_per_problem": max(each.judged for each in problems),
        "scorer": f"{harness} {scorer}",
        **rest["fields"],
    }
    return ForeignLog(
        file=str(file),
        harness=harness,
        task=task,
        fields=fields,
        problems=tuple(problems),
        left_out=rest["left_out"],
    )


# --- lm-evaluation-harness --------------------------------------------------------------------


def _read_lm_eval(file: Path) -> ForeignLog:
    rows = list(_first_filter(_rows(file)))
    task = _task_of(file, rows[0])
    metric = next((name for name in _METRICS[task] if name in rows[0]), None)
    if metric is None:
        wanted = " or ".join(_METRICS[task])
        raise UserError(f"{file}:1: no metric {wanted}, which a log of {task} has")
    known = _OurProblems(task)
    problems, left_out = [], 0
    for number, row in enumerate(rows, start=1):
        try:
            problem = known.find(row["doc"])
            if problem is None:
                left_out += 1
            else:
                problems.append(_lm_eval_problem(problem, row, metric))
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            reason = f"{type(error).__name__} {' '.join(str(error).split())}"
            raise UserError(
                f"{file}: sample {number} is not as lm_eval writes it: {reason}"
            ) from error
    return _log(
        file,
        "lm-evaluation-harness",
        task,
        metric,
        problems=problems,
        left_out=left_out,
        fields=_sampling(rows[0]),
    )


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{file}:{number}: not JSON: {error}") from error
            if not isinstance(row, dict) or not {"doc", "resps"} <= row.keys():
                raise UserError(f"{file}:{number}: no sample: doc and resps are missing")
            yield row


def _first_filter(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A log repeats every document for each filter; the first filter's lines."""
    chosen: Any = None
    for position, row in enumerate(rows):
        chosen = row.get("filter") if position == 0 else chosen
        if row.get("filter") == chosen:
            yield row


def _task_of(file: Path, row: Mapping[str, Any]) -> str:
    """By what the document holds: users rename files, and tasks have many variants."""
    doc = row["doc"] if isinstance(row["doc"], dict) else {}
    if str(doc.get("task_id", "")).startswith("HumanEval/") and "test" in doc:
        return "humaneval"
    if {"problem", "solution"} <= doc.keys():
        return "math500"
    named = _LM_EVAL_NAME.fullmatch(file.name)
    name = f"task {named[1]}" if named else "its task"
    raise UserError(f"{file}: {name} is none that can be read; there are {', '.join(_METRICS)}")


class _OurProblems:
    """Finds our problem for their document; reads our data only when the document needs it."""

    def __init__(self, task: str) -> None:
        self._task = task
        self._by_question: dict[str, Problem] | None = None

    def find(self, doc: Mapping[str, Any]) -> Problem | None:
        if self._task == "humaneval":
            reference = {"kind": "code", **{k: doc[k] for k in ("prompt", "entry_point", "test")}}
            return Problem.model_validate(
                {
                    "problem_id": f"humaneval/{doc['task_id']}",
                    "question": doc["prompt"],
                    "reference": reference,
                }
            )
        if "unique_id" in doc:
            answer = MathReference(answer=str(doc["answer"]))
            name = f"math500/{doc['unique_id']}"
            return Problem(problem_id=name, question=doc["problem"], reference=answer)
        if self._by_question is None:
            ours = load_task(parse_selection(self._task)).problems
            self._by_question = {_spelling(each.question): each for each in ours}
        return self._by_question.get(_spelling(doc["problem"]))


def _spelling(question: str) -> str:
    return " ".join(question.split())


def _lm_eval_problem(problem: Problem, row: Mapping[str, Any], metric: str) -> ForeignProblem:
    outputs = tuple(str(text) for text in row["resps"][0])
    filtered = row["filtered_resps"][0]
    graded = tuple(filtered) if isinstance(filtered, list) else (str(filtered),)
    # Without a list, the filter took the first of several outputs, and only that was judged.
    judged = len(graded)
    if not judged:
        raise ValueError("no filtered response")
    solved = float(row[metric]) * judged
    if abs(solved - round(solved)) > 1e-6 * judged or not 0 <= round(solved) <= judged:
        raise ValueError(f"{metric}={row[metric]} is no share of {judged} outputs")
    each = {0: "incorrect", judged: "correct"}.get(round(solved))
    return ForeignProblem.model_validate(
        {
            "problem": problem,
            "outputs": outputs,
            "graded": graded,
            "solved": round(solved),
            "judged": judged,
            "statuses": [each] * judged,
        }
    )


def _sampling(row: Mapping[str, Any]) -> dict[str, Any]:
    """Temperature and token limit, as far as the generation arguments give them."""
    arguments: Any = row.get("arguments")
    try:  # before 0.4.3 a list of lists, since then gen_args_0: arg_0, arg_1
        first = arguments["gen_args_0"]["arg_1"] if isinstance(arguments, dict) else arguments[0][1]
    except (KeyError, IndexError, TypeError):
        return {}
    given = first if isinstance(first, dict) else {}
    fields: dict[str, Any] = {}
    if given.get("do_sample") is False:
        fields["temperature"] = 0.0
    elif "temperature" in given:
        fields["temperature"] = float(given["temperature"])
    if fields.get("temperature") and "top_p" in given:
        fields["top_p"] = float(given["top_p"])
    for name in ("max_gen_toks", "max_new_tokens", "max_tokens"):
        if name in given:
            fields["max_new_tokens"] = int(given[name])
    return fields


# --- evalplus ---------------------------------------------------------------------------------


def _read_evalplus(file: Path) -> ForeignLog:
    try:
        results = json.loads(file.read_text(encoding="utf-8"))["eval"]
        entries = {str(name): list(entry) for name, entry in results.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{file}: not as evalplus writes it: {error}") from error
    if not any(name.startswith("HumanEval/") for name in entries):
        first = next(iter(entries), "none")
        raise UserError(
            f"{file}: its problems ({first} …) are of no task that can be read; evalplus files "
            "are read for humaneval"
        )
    ours = {each.problem_id: each for each in load_task(parse_selection("humaneval")).problems}
    problems = [
        _evalplus_problem(ours[f"humaneval/{name}"], samples, f"{file}: {name}")
        for name, samples in entries.items()
        if f"humaneval/{name}" in ours
    ]
    return _log(
        file,
        "evalplus",
        "humaneval",
        "base tests",
        problems=problems,
        left_out=len(entries) - len(problems),
        fields={},
    )


def _evalplus_problem(problem: Problem, samples: list[Any], where: str) -> ForeignProblem:
    try:
        programs = tuple(str(each["solution"]) for each in samples)
        passed = [_STATUSES[each["base_status"]] for each in samples]
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} is not as evalplus writes it: {error}") from error
    return ForeignProblem(
        problem=problem,
        outputs=programs,
        graded=programs,
        solved=sum(passed),
        judged=len(programs),
        statuses=tuple("correct" if each else "incorrect" for each in passed),
    )
