"""How a run's total is shared out among its requests."""

from collections.abc import Sequence

from harness.config.pricing import ApiPrice
from harness.metrics.cost import request_weight
from harness.records import Sample


def weights(samples: Sequence[Sample], price: ApiPrice | None) -> list[float]:
    """Each request's share of a total: by tokens, or equal where tokens are unknown.

    Args:
        samples: All attempts.
        price: Of an API; None: the time of a machine is shared out.
    """
    completions = [sample.completion for sample in samples]
    if any(each.completion_tokens is None for each in completions):
        return [1.0] * len(completions)
    return [
        request_weight(price, each.prompt_tokens or 0, each.completion_tokens or 0)
        for each in completions
    ]


def unit_of_shares(samples: Sequence[Sample]) -> str:
    """``tokens``, or ``requests`` where tokens are unknown."""
    is_unknown = any(sample.completion.completion_tokens is None for sample in samples)
    return "requests" if is_unknown else "tokens"
