"""Drawing the next token, exactly as a request's ``Sampling`` says.

Temperature first, then the ``top_k`` likeliest, then the nucleus of ``top_p``; one uniform number
decides, by inverting the distribution over the tokens in order of probability. Which token a
number means thus depends on the logits alone, not on the device or the rest of the batch.
"""

from collections.abc import Sequence
from typing import Any

from harness.records import Sampling

# Likeliest tokens that are sorted at first. The nucleus nearly always lies within them, and where
# it does not, all are sorted: the result is the same, ten times later.
CANDIDATES = 256


def draw(logits: Any, samplings: Sequence[Sampling], uniforms: Sequence[float]) -> list[int]:
    """The next token of each row.

    Args:
        logits: Float32 tensor (rows, vocabulary).
        samplings: One per row; temperature 0 is the likeliest token.
        uniforms: One number in [0, 1) per row; unused where the temperature is 0.
    """
    chosen: list[int] = logits.argmax(-1).tolist()
    for row, sampling in enumerate(samplings):
        if sampling.temperature > 0:
            chosen[row] = -1
    rows = [row for row, token in enumerate(chosen) if token < 0]
    if not rows:
        return chosen
    asked = [samplings[row] for row in rows]
    numbers = [uniforms[row] for row in rows]
    widest_k = max((sampling.top_k or 0) for sampling in asked)
    width = min(max(CANDIDATES, widest_k), logits.shape[-1])
    for row, token in zip(rows, _invert(logits[rows], asked, numbers, width), strict=True):
        chosen[row] = token
    for place, row in enumerate(rows):
        if chosen[row] < 0:
            everything = logits.shape[-1]
            chosen[row] = _invert(logits[[row]], [asked[place]], [numbers[place]], everything)[0]
    return chosen


def _invert(
    logits: Any, samplings: Sequence[Sampling], uniforms: Sequence[float], width: int
) -> list[int]:
    """The tokens drawn, -1 where the ``width`` likeliest do not suffice to tell."""
    import torch

    def column(numbers: Sequence[float]) -> Any:
        return torch.tensor(numbers, dtype=torch.float64, device=logits.device)[:, None]

    vocabulary = logits.shape[-1]
    top_p = column([sampling.top_p for sampling in samplings])
    top_k = column([sampling.top_k or vocabulary for sampling in samplings])
    temperature = column([sampling.temperature for sampling in samplings]).float()
    # The maximum goes first, so that a tiny temperature cannot overflow.
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
    values, ids = scaled.topk(width)
    outside = torch.arange(width, device=logits.device) >= top_k
    values = values.masked_fill(outside, -torch.inf)
    total = torch.where(
        top_k < vocabulary,
        values.logsumexp(-1, keepdim=True),
        scaled.logsumexp(-1, keepdim=True),
    )
    probability = (values - total).double().exp()
    mass = probability.cumsum(-1)
    # The token that reaches top_p is the nucleus's last one.
    kept = ((mass - probability < top_p) & ~outside).sum(-1, keepdim=True)
    is_whole = (mass[:, -1:] >= top_p) | (top_k <= width)
    nucleus = torch.where(top_p < 1, mass.gather(-1, kept - 1), 1.0)
    place = (mass <= column(uniforms) * nucleus).sum(-1, keepdim=True)
    is_told = is_whole | ((top_p == 1) & (place < width))
    token = ids.gather(-1, torch.minimum(place, kept - 1))
    told: list[int] = torch.where(is_told, token, -1)[:, 0].tolist()
    return told
