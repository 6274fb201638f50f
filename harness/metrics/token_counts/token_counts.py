"""Tokens read and written, thinking and answer apart, an `evaluate` metric.

Load it by its folder: ``evaluate.load(".../harness/metrics/token_counts")``.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from harness.stats.intervals import SEED, ratio_interval

_DESCRIPTION = "Mean tokens per request of prompt, completion, thinking and answer."
_INPUTS = """
Args:
    problem_ids: Which problem each request belongs to; intervals resample problems.
    prompt_tokens: Tokens of the prompt.
    completion_tokens: Generated tokens.
    reasoning_tokens: Of these, up to and including the end of thinking; None where unknown.
    seed: Of the bootstrap.

Returns:
    A figure (value, unit, n, low, high, method) each for `prompt_tokens.mean`,
    `completion_tokens.mean`, `reasoning_tokens.mean`, `answer_tokens.mean` and
    `reasoning_share` (of all generated tokens); n is requests.
"""


class TokenCounts(evaluate.Metric):  # type: ignore[misc]
    """How long prompts, thoughts and answers are."""

    def _info(self) -> evaluate.MetricInfo:
        whole = datasets.Value("int64")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features(
                {
                    "problem_ids": datasets.Value("string"),
                    "prompt_tokens": whole,
                    "completion_tokens": whole,
                    "reasoning_tokens": whole,
                }
            ),
        )

    def _compute(
        self,
        problem_ids: Sequence[str],
        prompt_tokens: Sequence[int | None],
        completion_tokens: Sequence[int | None],
        reasoning_tokens: Sequence[int | None],
        seed: int = SEED,
    ) -> dict[str, dict[str, Any]]:
        columns = (problem_ids, prompt_tokens, completion_tokens, reasoning_tokens)
        rows = list(zip(*columns, strict=True))
        split = [(p, r, c - r, c) for p, _, c, r in rows if r is not None and c is not None]
        pairs = {
            "prompt_tokens.mean": [(p, n, 1) for p, n, _, _ in rows if n is not None],
            "completion_tokens.mean": [(p, c, 1) for p, _, c, _ in rows if c is not None],
            "reasoning_tokens.mean": [(p, r, 1) for p, r, _, _ in split],
            "answer_tokens.mean": [(p, a, 1) for p, _, a, _ in split],
            "reasoning_share": [(p, r, c) for p, r, _, c in split],
        }
        return {name: _ratio(name, pair, seed) for name, pair in pairs.items()}


def _ratio(name: str, rows: list[tuple[str, int, int]], seed: int) -> dict[str, Any]:
    top: dict[str, int] = defaultdict(int)
    bottom: dict[str, int] = defaultdict(int)
    for problem, numerator, denominator in rows:
        top[problem] += numerator
        bottom[problem] += denominator
    interval = ratio_interval(list(top.values()), list(bottom.values()), seed=seed)._replace(
        n=len(rows)
    )
    unit = "fraction" if name == "reasoning_share" else "tokens"
    return {**interval._asdict(), "unit": unit}
