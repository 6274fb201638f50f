"""May two scores of a task be compared? By the fields that their protocol fingerprints hash."""

import difflib
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from harness.analysis.comparison.records import ProtocolDifference
from harness.analysis.comparison.side import Side, SideTask
from harness.errors import NotComparableError, UserError

_IMPLIED = {"subset": ("subset_sha256",)}
"""Allowing one of these fields to differ allows the others too."""
_OPTIONS = ("fewshot", "system_prompt")


class ProtocolCheck(NamedTuple):
    """The protocol differences between two sides whose scores are to be compared."""

    mismatch: tuple[ProtocolDifference, ...]
    """Differences that the user allowed."""
    unknown: dict[str, tuple[str, ...]]


def check_allowed(allowed: Iterable[str], sides: Iterable[Side]) -> None:
    """Refuses a name that is no field of any side's protocol.

    Raises:
        UserError: Names the nearest field.
    """
    known = {name for side in sides for task in side.tasks.values() for name in task.fields}
    known |= {name.rpartition(".")[0] for name in known} - {""}
    for name in allowed:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"--allow-protocol-mismatch {name}: no such field{hint} "
                f"There are {', '.join(sorted(known))}"
            )


def check_protocols(baseline: Side, candidate: Side, allowed: Collection[str]) -> ProtocolCheck:
    """Compares the protocols of the tasks that both sides have.

    A log of another harness says little of its protocol: what it does not say is neither equal
    nor different and is listed as unknown. Its scorer is another by nature; that difference is
    listed with those let through, and refuses nothing.

    Raises:
        NotComparableError: No task in common, or fields differ that were not let through.
    """
    shared = [task for task in baseline.tasks if task in candidate.tasks]
    if not shared:
        raise NotComparableError(
            f"not comparable: {baseline.name.label} has {_names(baseline.tasks)}, "
            f"{candidate.name.label} has {_names(candidate.tasks)}; no task is in both"
        )
    is_foreign = baseline.is_foreign or candidate.is_foreign
    differing: list[ProtocolDifference] = []
    unknown: dict[str, tuple[str, ...]] = {}
    for task in shared:
        ours, theirs = baseline.tasks[task], candidate.tasks[task]
        differing += _differences(task, ours, theirs, absent=None if is_foreign else "absent")
        if not (ours.is_complete and theirs.is_complete):
            unknown[task] = unknown_fields(ours, theirs)
    refused = [
        each
        for each in differing
        if not _is_allowed(each.field, allowed) and not (is_foreign and each.field == "scorer")
    ]
    if refused:
        raise NotComparableError(_refusal(baseline, candidate, refused))
    return ProtocolCheck(tuple(differing), unknown)


def unknown_fields(one: SideTask, other: SideTask) -> tuple[str, ...]:
    """The protocol fields of a task that one of two sides does not state.

    Few-shot examples and system prompt are options that a run of ours names only where they are
    used. They decide more than any other, so a log that is silent of them is unknown in them.
    """
    names = {*one.fields, *other.fields, *_OPTIONS}
    return tuple(sorted(each for each in names if not (one.says(each) and other.says(each))))


def _differences(
    task: str, ours: SideTask, theirs: SideTask, absent: str | None
) -> list[ProtocolDifference]:
    """The stated fields in which the sides differ; an option that is off is absent."""
    return [
        ProtocolDifference(
            task=task,
            field=name,
            baseline=ours.fields.get(name, absent),
            candidate=theirs.fields.get(name, absent),
        )
        for name in sorted(ours.fields.keys() | theirs.fields.keys())
        if ours.says(name)
        and theirs.says(name)
        and ours.fields.get(name, absent) != theirs.fields.get(name, absent)
    ]


def _is_allowed(name: str, allowed: Collection[str]) -> bool:
    """Whether a field may differ; a name covers its parts: scorer covers scorer.sandbox.level."""
    return any(
        name == each or name.startswith(f"{each}.") or name in _IMPLIED.get(each, ())
        for each in allowed
    )


def _refusal(baseline: Side, candidate: Side, refused: list[ProtocolDifference]) -> str:
    fields: dict[str, list[str]] = {}
    for each in refused:
        text = f"{each.field} {_shown(each.baseline)} against {_shown(each.candidate)}"
        fields.setdefault(each.task, []).append(text)
    by_task = "; ".join(f"{task}: {', '.join(texts)}" for task, texts in fields.items())
    flags = " ".join(
        f"--allow-protocol-mismatch {name}"
        for name in dict.fromkeys(each.field for each in refused)
    )
    shared = [
        task
        for task in fields
        if baseline.tasks[task].problems.keys() & candidate.tasks[task].problems.keys()
    ]
    advice = f"To compare anyway: {flags}" if shared else "They have no problem in common"
    return (
        f"not comparable: {baseline.name.label} and {candidate.name.label} differ in their "
        f"protocol: {by_task}. {advice}"
    )


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) == 64:  # noqa: PLR2004 - a sha256
        return f"{value[:12]}…"
    return "none" if value is None else str(value)


def _names(tasks: Iterable[str]) -> str:
    return ", ".join(tasks) or "no task"
