"""Inter-token latency (ITL): the gaps between neighbouring tokens, over all answers together."""

from collections import Counter
from collections.abc import Sequence

from harness.io.token_gaps import gap_percentiles
from harness.metrics.figures import figure, unknown
from harness.records import Estimate, Sample

NAME = "inter_token_latency_s"
RANKS = (50, 90, 99)


def inter_token_latency(samples: Sequence[Sample]) -> list[Estimate]:
    """The mean from the times of first and last tokens, percentiles where gaps were counted.

    Long answers weigh more than in ``time_per_output_token_s``, which has one value for each.
    Its mean needs no single gap: those of an answer add up to its last token minus its first.

    Args:
        samples: Without those that ended in errors.
    """
    seconds, tokens = 0.0, 0
    gaps: Counter[int] = Counter()
    # one token has no gap; a server that tells no number of tokens tells of no single ones either
    several = [s.completion for s in samples if s.completion.completion_tokens not in {0, 1}]
    for each in several:
        count = each.completion_tokens
        if each.first_token_s is not None and each.finished_s is not None and count is not None:
            seconds += each.finished_s - each.first_token_s
            tokens += count - 1
        gaps.update(each.token_gaps or {})
    silent = sum(each.token_gaps is None for each in several)
    how = "sum of (finished - first token) / sum of (tokens - 1)"
    counted, note = gaps.total(), f"{gaps.total()} gaps, counted in bins of 5 %"
    if silent:
        counted, note = 0, f"{silent} requests have no times of single tokens"
    values = gap_percentiles({} if silent else gaps, RANKS)
    return [
        _figure("mean", seconds / tokens if tokens else None, tokens, how),
        *(
            _figure(f"p{rank}", value, counted, note)
            for rank, value in zip(RANKS, values, strict=True)
        ),
    ]


def _figure(which: str, value: float | None, n: int, method: str) -> Estimate:
    if value is None:
        return unknown(f"{NAME}.{which}", "s", method, n=n)
    return figure(f"{NAME}.{which}", value, "s", n, method)
