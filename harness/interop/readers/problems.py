"""Finds our problem for an entry of another harness's log."""

import re
from collections.abc import Iterator
from functools import cached_property

from harness.interop.readers.records import ForeignEntry
from harness.records import Problem
from harness.scorers.build import definition_of
from harness.tasks import load_spec, load_task, parse_selection, planned_origin


class OurProblems:
    """The problems of one of our tasks, by their ids and by their texts.

    The task's data is read where it is on this machine, or where nothing else tells. An id that
    names its data set (``HumanEval/0``, ``test/algebra/24.json``) is enough; a bare number is not,
    where the log has the question: data sets are numbered in many ways.
    """

    def __init__(self, task: str) -> None:
        self.task = task
        self._spec = load_spec(task)
        self._known: dict[tuple[str, ...], Problem | None] = {}

    def find(self, entry: ForeignEntry) -> Problem | None:
        """The problem; None where the task has no such one.

        Raises:
            UnavailableError: The task's data is needed and not available.
        """
        if self._needs_network and (made := self._from_entry(entry)) is not None:
            return made
        for name in self._ids(entry):
            if (known := self._by_id.get(name)) is not None:
                return known
        return self._by_text(entry.texts) if entry.texts else None

    def _ids(self, entry: ForeignEntry) -> Iterator[str]:
        for name in entry.problem_names:
            if "/" in name:
                yield name
                yield f"{self.task}/{name}"
            if not entry.texts:
                yield f"{self.task}/{name.rpartition('/')[2]}"

    @cached_property
    def _needs_network(self) -> bool:
        return planned_origin(self._spec)[1]

    @cached_property
    def _by_id(self) -> dict[str, Problem]:
        problems = load_task(parse_selection(self.task)).problems
        return {each.problem_id: each for each in problems}

    @cached_property
    def _by_question(self) -> dict[str, Problem]:
        return {_words(each.question): each for each in self._by_id.values()}

    def _from_entry(self, entry: ForeignEntry) -> Problem | None:
        """A problem without our data: its id and its right answer are in the log."""
        scorer, mine = definition_of(self._spec.scorer), f"{self.task}/"
        name = next((name for name in entry.problem_names if "/" in name), None)
        if name is None or entry.reference is None or scorer.fields != ("answer",):
            return None
        if self._spec.fields.problem_id is None and not name.startswith(mine):
            return None
        values = {"question": entry.texts[0] if entry.texts else "", "answer": entry.reference}
        return Problem(
            problem_id=f"{mine}{name.removeprefix(mine)}",
            question=values["question"],
            reference=scorer.reference(values),
        )

    def _by_text(self, texts: tuple[str, ...]) -> Problem | None:
        if texts not in self._known:
            self._known[texts] = self._search([_words(text) for text in texts])
        return self._known[texts]

    def _search(self, texts: list[str]) -> Problem | None:
        """The problem whose question is one of the texts, or else is at the end of one."""
        for text in texts:
            if (exact := self._by_question.get(text)) is not None:
                return exact
        for text in texts:
            places = [
                (text.rfind(question) + len(question), len(question), problem)
                for question, problem in self._by_question.items()
                if question in text
            ]
            if places:
                end, length, problem = max(places, key=lambda each: each[:2])
                if not _is_example(text[: end - length], text[end:], texts):
                    return problem
        return None


_LABEL = re.compile(r"([^\W\d]+) ?\d*[*_]*:[*_]* ?$")
"""Labels of a question in a prompt: ``Problem:``, ``Question 3:``, ``**Q**:``."""
_WORDS_OF_A_QUESTION = 3
"""A text with fewer words is a level, a subject or a number, which may follow any question."""


def _is_example(before: str, after: str, texts: list[str]) -> bool:
    """Whether a question in a prompt is an example: the actual one comes after it.

    Args:
        before: What the prompt has before the question.
        after: What it has after it.
        texts: All texts of the entry: with some logs the question that was asked is one of them.
    """
    asked = (text for text in texts if text.count(" ") >= _WORDS_OF_A_QUESTION - 1)
    if any(text in after for text in asked):
        return True
    label = _LABEL.search(before)
    if label is None:
        return False
    return re.search(rf"\b{re.escape(label[1])} ?\d*[*_]*:", after) is not None


def _words(text: str) -> str:
    """White space is no difference between two questions."""
    return " ".join(text.split())
