"""A sample as Inspect logs it: ``samples/<id>_epoch_<n>.json``, and its line in ``summaries.json``.

Keys as in ``EvalSample`` and ``EvalSampleSummary`` of inspect-ai 0.3.285, where all that is not
known may be missing. An answer that ran into the token limit has the stop reason ``max_tokens``, as
theirs have, and the sample a ``limit``, which their list of samples shows. A request that failed,
and an answer that could not be graded, has an ``error`` and no score. ``metadata`` has our own
verdict, under which truncated and wrong are two things.
"""

import hashlib
import uuid
from typing import Any, NamedTuple

from harness.interop.export.answered import Answered, reference_texts, wall_time
from harness.interop.export.inspect_events import transcript
from harness.interop.export.plain import known
from harness.io.redaction import redact
from harness.records import ERROR_STATUSES, Completion, FinishReason, VerdictStatus
from harness.store.manifest import Session

VALUES: dict[VerdictStatus, str] = {
    "correct": "C",
    "incorrect": "I",
    "truncated": "I",
    "no_answer": "N",
}
"""Inspect's scores: correct, incorrect, no answer. Its accuracy counts the last two as 0."""
_STOP_REASONS: dict[FinishReason, str] = {"stop": "stop", "length": "max_tokens"}
_MAX_SUMMARY = 1024
"""Characters of a text in a summary, as theirs."""
_ONLY_WHOLE = ("messages", "output", "store", "events", "error_retries", "attachments")


class LogNames(NamedTuple):
    """Values that every sample of a log repeats."""

    run_id: str
    model: str
    scorer: str
    """The scorer's name without its version."""
    max_tokens: int
    """The token limit of an answer."""


def to_inspect_sample(each: Answered, session: Session | None, names: LogNames) -> dict[str, Any]:
    """The whole file as one object.

    Args:
        each: One sample with its problem and prompt.
        session: The session that made it; None where the run has none on record.
        names: Of the log.
    """
    sample, completion = each.sample, each.sample.completion
    request_id = completion.request_id
    messages = _messages(each, names)
    usage = usage_of(completion)
    begun, ended = completion.started_s, completion.finished_s
    took_s = None if begun is None or ended is None else ended - begun
    content = {
        "id": each.problem.problem_id,
        "epoch": sample.index + 1,
        "input": messages[0]["content"] if len(messages) == 1 else messages,
        "target": _one_or_all(reference_texts(each.problem.reference)),
        "messages": [*messages, *_answer_message(completion, names)],
        "output": _output(completion, names, usage, took_s),
        "scores": _scores(each, names),
        "metadata": _metadata(each),
        "store": {},
        "model_usage": {names.model: usage} if usage else {},
        "started_at": _iso(session, begun),
        "completed_at": _iso(session, ended),
        "total_time": took_s,
        "working_time": took_s,
        "uuid": _id(names.run_id, request_id),
        "error": _error(each),
        "error_retries": [],
        "limit": _limit(completion, names),
    }
    whole = known(content)
    return whole | transcript(whole)._asdict()


def to_summary(sample: dict[str, Any]) -> dict[str, Any]:
    """The summary for the list of samples, long texts cut short."""
    kept = {key: value for key, value in sample.items() if key not in _ONLY_WHOLE}
    given = sample["input"]
    error, limit = sample.get("error"), sample.get("limit")
    summary = {
        **kept,
        "input": _cut(given if isinstance(given, str) else given[-1]["content"]),
        "target": _cut(sample["target"]),
        "scores": {name: _cut_all(score) for name, score in sample["scores"].items()},
        "metadata": _cut_all(sample["metadata"]),
        "error": error and error["message"],
        "limit": limit and limit["type"],
        "limit_reason": limit and limit["reason"],
        "retries": 0,
        "completed": True,
        "message_count": len(sample["messages"]),
    }
    return known(summary)


def usage_of(completion: Completion) -> dict[str, Any] | None:
    """Tokens; None where one of both counts is unknown, because a missing one reads as 0."""
    prompt, answer = completion.prompt_tokens, completion.completion_tokens
    if prompt is None or answer is None or completion.is_failure:
        return None
    cached = completion.cached_prompt_tokens
    return known(
        {
            # Theirs leaves out what was read from the cache.
            "input_tokens": prompt - (cached or 0),
            "output_tokens": answer,
            "total_tokens": prompt + answer,
            "input_tokens_cache_read": cached,
            "reasoning_tokens": completion.reasoning_tokens,
        }
    )


def _messages(each: Answered, names: LogNames) -> list[dict[str, Any]]:
    turns = [(turn.role, turn.content) for turn in each.prompt.earlier_turns]
    problem = each.problem.problem_id
    return [
        {"id": _id(names.run_id, problem, str(number)), "role": role, "content": content}
        | ({"source": "input"} if role != "assistant" else {})
        for number, (role, content) in enumerate([*turns, ("user", each.user_text)])
    ]


def _answer_message(completion: Completion, names: LogNames) -> list[dict[str, Any]]:
    if completion.is_failure:
        return []
    return [
        {
            "id": _id(names.run_id, completion.request_id, "answer"),
            "role": "assistant",
            "source": "generate",
            "model": names.model,
            "content": completion.text,
        }
    ]


def _output(
    completion: Completion, names: LogNames, usage: dict[str, Any] | None, took_s: float | None
) -> dict[str, Any]:
    choices = [
        {"message": message, "stop_reason": _STOP_REASONS[completion.finish_reason]}
        for message in _answer_message(completion, names)
    ]
    return known(
        {
            "model": names.model,
            "choices": choices,
            "completion": completion.text,
            "usage": usage,
            "time": took_s,
        }
    )


def _scores(each: Answered, names: LogNames) -> dict[str, Any]:
    verdict = each.sample.verdict
    if verdict.status in ERROR_STATUSES:
        return {}
    score = {
        "value": VALUES[verdict.status],
        "answer": verdict.extracted,
        "explanation": redact(verdict.detail) or None,
        "reason": None if verdict.status in {"correct", "incorrect"} else verdict.status,
        "metadata": {"scorer": verdict.scorer},
    }
    return {names.scorer: known(score)}


def _metadata(each: Answered) -> dict[str, Any]:
    verdict, problem = each.sample.verdict, each.problem
    return known(
        {
            "status": verdict.status,
            "opened_think": each.prompt.opened_think or None,
            "subject": problem.subject,
            "level": problem.level,
        }
    )


def _error(each: Answered) -> dict[str, str] | None:
    verdict, completion = each.sample.verdict, each.sample.completion
    if verdict.status not in ERROR_STATUSES:
        return None
    reason = redact(completion.error or verdict.detail)
    message = f"{verdict.status}: {reason}" if reason else verdict.status
    return {"message": message, "traceback": "", "traceback_ansi": ""}


def _limit(completion: Completion, names: LogNames) -> dict[str, Any] | None:
    if completion.finish_reason != "length":
        return None
    reason = f"the answer was cut off at max_tokens={names.max_tokens}"
    return {"type": "token", "limit": names.max_tokens, "reason": reason}


def _iso(session: Session | None, clock_s: float | None) -> str | None:
    moment = wall_time(session, clock_s) if session else None
    return moment.isoformat() if moment else None


def _id(*parts: str) -> str:
    """A stable id, so that one run always gives the same log."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts


def _cut(value: Any) -> Any:
    if isinstance(value, list):
        return [_cut(each) for each in value]
    if isinstance(value, str) and len(value) > _MAX_SUMMARY:
        return f"{value[:_MAX_SUMMARY]}…"
    return value


def _cut_all(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _cut(value) for name, value in values.items()}
