"""Tokens read and written, thinking and answer apart."""

from collections import defaultdict
from collections.abc import Sequence

from harness.metrics.figures import from_interval
from harness.records import Estimate, Sample
from harness.stats.intervals import SEED, ratio_interval


def token_counts(samples: Sequence[Sample], seed: int = SEED) -> list[Estimate]:
    """Mean tokens per request of prompt, completion, thinking and answer.

    Args:
        samples: Answered requests; intervals resample their problems.
        seed: Of the bootstrap.

    Returns:
        ``prompt_tokens.mean``, ``completion_tokens.mean``, ``reasoning_tokens.mean``,
        ``answer_tokens.mean`` and ``reasoning_share`` (of all generated tokens); n is requests.
    """
    rows = [
        (s.problem_id, s.completion.prompt_tokens, s.completion.completion_tokens,
         s.completion.reasoning_tokens)
        for s in samples
    ]  # fmt: skip
    split = [(p, r, c - r, c) for p, _, c, r in rows if r is not None and c is not None]
    pairs = {
        "prompt_tokens.mean": [(p, n, 1) for p, n, _, _ in rows if n is not None],
        "completion_tokens.mean": [(p, c, 1) for p, _, c, _ in rows if c is not None],
        "reasoning_tokens.mean": [(p, r, 1) for p, r, _, _ in split],
        "answer_tokens.mean": [(p, a, 1) for p, _, a, _ in split],
        "reasoning_share": [(p, r, c) for p, r, _, c in split],
    }
    return [_ratio(name, pair, seed) for name, pair in pairs.items()]


def _ratio(name: str, rows: Sequence[tuple[str, int, int]], seed: int) -> Estimate:
    top: dict[str, int] = defaultdict(int)
    bottom: dict[str, int] = defaultdict(int)
    for problem, numerator, denominator in rows:
        top[problem] += numerator
        bottom[problem] += denominator
    interval = ratio_interval(list(top.values()), list(bottom.values()), seed=seed)
    unit = "fraction" if name == "reasoning_share" else "tokens"
    return from_interval(name, interval._replace(n=len(rows)), unit)
