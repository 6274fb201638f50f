"""Draws the next token exactly as a request's ``Sampling`` describes.

The repetition penalty comes first, then temperature, ``min_p``, the ``top_k`` likeliest and the
nucleus of ``top_p``. That is vLLM's order; transformers' ``generate`` has ``min_p`` last.

The repetition penalty first, then temperature, ``min_p``, the ``top_k`` likeliest and the nucleus
of ``top_p``. That is vLLM's order; transformers' ``generate`` has ``min_p`` last. One uniform
number decides, by inverting the distribution. Which token a number means thus depends on the row's
own logits, not on the device or the rest of the batch.
"""

import math
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
    warm = [row for row, sampling in enumerate(samplings) if sampling.temperature > 0]
    whole = [row for row in warm if samplings[row].top_p == 1 and samplings[row].top_k is None]
    narrow = [row for row in warm if row not in whole]

    def ask(rows: Sequence[int], width: int | None) -> list[int]:
        asked = [samplings[row] for row in rows]
        numbers = [uniforms[row] for row in rows]
        invert = _invert_whole if width is None else _invert_likeliest
        tokens = invert(logits[rows], asked, numbers, width or 0)
        for row, token in zip(rows, tokens, strict=True):
            chosen[row] = token
        return [row for row, token in zip(rows, tokens, strict=True) if token < 0]

    if whole:
        ask(whole, None)
    if narrow:
        vocabulary = logits.shape[-1]
        widest_k = max(samplings[row].top_k or 0 for row in narrow)
        if undecided := ask(narrow, min(max(CANDIDATES, widest_k), vocabulary)):
            ask(undecided, vocabulary)
    return chosen


def _column(numbers: Sequence[float], like: Any) -> Any:
    import torch

    return torch.tensor(numbers, dtype=torch.float64, device=like.device)[:, None]


def penalised(
    logits: Any, samplings: Sequence[Sampling], known_ids: Sequence[Sequence[int]]
) -> Any:
    """Logits after each row's repetition penalty, by transformers' own rule.

    Args:
        logits: Float32 tensor (rows, vocabulary); not modified.
        samplings: One per row.
        known_ids: Prompt and answer so far of each row; not read where it has no penalty.
    """
    rows = [row for row, each in enumerate(samplings) if each.repetition_penalty is not None]
    if not rows:
        return logits
    import torch
    from transformers import RepetitionPenaltyLogitsProcessor

    logits = logits.clone()
    for row in rows:
        processor = RepetitionPenaltyLogitsProcessor(samplings[row].repetition_penalty)
        ids = torch.tensor([list(known_ids[row])], device=logits.device)
        logits[row] = processor(ids, logits[[row]])[0]
    return logits


def _scaled(logits: Any, samplings: Sequence[Sampling]) -> Any:
    """Logits divided by the temperature, the largest at 0, those below min_p at -infinity."""
    temperature = _column([sampling.temperature for sampling in samplings], logits).float()
    # The maximum goes first, so that a tiny temperature cannot overflow.
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature
    if all(sampling.min_p is None for sampling in samplings):
        return scaled
    lowest = [-math.inf if s.min_p is None else math.log(s.min_p) for s in samplings]
    return scaled.masked_fill(scaled < _column(lowest, logits), -math.inf)


def _invert_whole(
    logits: Any, samplings: Sequence[Sampling], uniforms: Sequence[float], _: int
) -> list[int]:
    """Tokens drawn from the whole vocabulary, which need not be sorted for that."""
    mass = _scaled(logits, samplings).softmax(-1).double().cumsum(-1)
    target = _column(uniforms, logits) * mass[:, -1:]
    tokens: list[int] = (mass <= target).sum(-1).clamp(max=mass.shape[-1] - 1).tolist()
    return tokens


def _invert_likeliest(
    logits: Any, samplings: Sequence[Sampling], uniforms: Sequence[float], width: int
) -> list[int]:
    """Tokens drawn from the ``width`` likeliest, -1 where the nucleus is larger than that."""
    import torch

    vocabulary = logits.shape[-1]
    top_p = _column([sampling.top_p for sampling in samplings], logits)
    top_k = _column([sampling.top_k or vocabulary for sampling in samplings], logits)
    scaled = _scaled(logits, samplings)
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
    nucleus = mass.gather(-1, kept - 1)
    place = (mass <= _column(uniforms, logits) * nucleus).sum(-1, keepdim=True)
    token = ids.gather(-1, torch.minimum(place, kept - 1))
    is_decided = (mass[:, -1:] >= top_p) | (top_k <= width)
    tokens: list[int] = torch.where(is_decided, token, -1)[:, 0].tolist()
    return tokens if width < vocabulary else token[:, 0].tolist()
