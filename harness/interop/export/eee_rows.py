"""A sample as a row of Every Eval Ever's ``_samples.jsonl``."""

import hashlib
from typing import Any

from harness.interop.export.answered import Answered, reference_texts
from harness.interop.export.plain import known, texts
from harness.io.redaction import redact
from harness.records import Completion


def to_row(each: Answered) -> dict[str, Any]:
    """All keys of a row but those that name the evaluation.

    Every sample is one question with one answer, whatever examples the prompt shows before it:
    ``input.formatted`` has all that the model saw.
    """
    completion, verdict = each.sample.completion, each.sample.verdict
    question, reference = each.problem.question, reference_texts(each.problem.reference)
    is_correct = verdict.status == "correct"
    return known(
        {
            "sample_id": each.problem.problem_id,
            "sample_hash": hashlib.sha256(
                (question + "".join(reference)).encode("utf-8", "replace")
            ).hexdigest(),
            "interaction_type": "single_turn",
            "input": {"raw": question, "formatted": each.prompt.text, "reference": reference},
            "output": {"raw": [completion.text]},
            "answer_attribution": _attribution(each),
            "evaluation": {"score": float(is_correct), "is_correct": is_correct, "num_turns": 1},
            "token_usage": _usage(completion),
            "performance": _times(completion),
            "metadata": texts(
                {
                    "status": verdict.status,
                    "detail": redact(verdict.detail) or None,
                    "finish_reason": completion.finish_reason,
                    "opened_think": each.prompt.opened_think or None,
                    "sample": each.sample.index,
                    "subject": each.problem.subject,
                    "level": each.problem.level,
                }
            ),
        }
    )


def _attribution(each: Answered) -> list[dict[str, Any]]:
    verdict = each.sample.verdict
    if verdict.extracted is None:
        return []
    return [
        {
            "turn_idx": 0,
            "source": "output.raw",
            "extracted_value": verdict.extracted,
            "extraction_method": verdict.scorer,
            "is_terminal": True,
        }
    ]


def _usage(completion: Completion) -> dict[str, Any] | None:
    """Token counts; None where one that the schema requires is unknown."""
    prompt, answer = completion.prompt_tokens, completion.completion_tokens
    if prompt is None or answer is None:
        return None
    return known(
        {
            "input_tokens": prompt,
            "output_tokens": answer,
            "total_tokens": prompt + answer,
            "input_tokens_cache_read": completion.cached_prompt_tokens,
            "reasoning_tokens": completion.reasoning_tokens,
        }
    )


def _times(completion: Completion) -> dict[str, Any] | None:
    """Times in seconds, measured from when the engine began to compute the request."""
    begun, first, end = completion.started_s, completion.first_token_s, completion.finished_s
    times = {
        "latency_ms": _between_ms(begun, end),
        "time_to_first_token_ms": _between_ms(begun, first),
        "generation_time_ms": _between_ms(first, end),
    }
    return known(times) or None


def _between_ms(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else 1000 * (end_s - start_s)
