"""Why requests failed, counted by kind."""

import re
from collections import defaultdict
from collections.abc import Iterable

from harness.records import ERROR_STATUSES, Count, Record, RequestId, Verdict, VerdictStatus

KEPT = 20
"""Kinds of reason in a result, the most frequent ones."""
_VARYING = re.compile(r"\b[0-9a-f]{8,}\b|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")
_STATUS = re.compile(r"^HTTP \d{3}")


class FailureReason(Record):
    """One kind of reason for which requests are in no score."""

    status: VerdictStatus
    """``generation_error`` or ``scorer_error``."""
    reason: str
    """The message of the first failure of this kind, in one line."""
    requests: Count
    first_request_id: RequestId


def kind_of(reason: str) -> str:
    """A reason without what differs from request to request: numbers and identifiers."""
    status = _STATUS.match(reason)
    start = status.end() if status else 0
    return reason[:start] + _VARYING.sub("N", reason[start:])


def count_failures(verdicts: Iterable[Verdict]) -> tuple[FailureReason, ...]:
    """The reasons of all errors by kind, the most frequent first."""
    groups: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        if verdict.status in ERROR_STATUSES:
            groups[verdict.status, kind_of(verdict.detail)].append(verdict)
    ordered = sorted(groups.values(), key=lambda each: (-len(each), each[0].request_id))
    return tuple(
        FailureReason(
            status=group[0].status,
            reason=group[0].detail,
            requests=len(group),
            first_request_id=group[0].request_id,
        )
        for group in ordered[:KEPT]
    )
