"""What a run would take: the plan of ``harness run --dry-run``."""

from harness.errors import HarnessError
from harness.records import Count, Record
from harness.runner.compose import compose_one
from harness.runner.plan import PlannedRun, plan
from harness.runner.preflight import free_memory
from harness.store.manifest import ExpectedTime


class Takes(Record):
    """Time, money and memory of one run. What is not known is None, and named in ``unknown``."""

    requests: Count | None
    output_tokens_at_most: Count | None
    expected: ExpectedTime | None
    memory_bytes: Count | None
    """Weights and one context."""
    to_fetch: dict[str, Count | None]
    """Bytes of what is not on this disk; None: unknown."""
    cannot_run: tuple[str, ...]
    """Why this machine cannot run it; empty: nothing is known against it."""
    unknown: tuple[str, ...]
    """What is unknown, with the reason where there is one."""


def plan_of(arguments: list[str]) -> Takes:
    """Plans a run; loads no model and fetches nothing."""
    try:
        planned = plan(compose_one(arguments), free_memory())
    except HarnessError as error:
        return not_planned("the run cannot be planned", str(error))
    return Takes(
        requests=planned.requests,
        output_tokens_at_most=planned.output_tokens,
        expected=planned.expected,
        memory_bytes=planned.memory_bytes,
        to_fetch=planned.to_fetch,
        cannot_run=planned.refusals,
        unknown=tuple(_unknown(planned)),
    )


def not_planned(why: str, *cannot_run: str) -> Takes:
    """A record without any plan."""
    return Takes(
        requests=None,
        output_tokens_at_most=None,
        expected=None,
        memory_bytes=None,
        to_fetch={},
        cannot_run=cannot_run,
        unknown=(f"duration, cost and memory ({why})",),
    )


def _unknown(planned: PlannedRun) -> list[str]:
    lacking = []
    if planned.expected is None:
        lacking.append(f"duration ({planned.why_no_time})")
    if planned.expected is None or planned.expected.usd is None:
        lacking.append("cost")
    if planned.memory_bytes is None:
        lacking.append("memory")
    return lacking
