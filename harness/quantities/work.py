"""Floating-point operations of one generated token."""

from harness.models.parameters import active_matrices
from harness.models.shape import Architecture, GroupedQuery, Latent

_MULTIPLY_ADD = 2
"""Operations of one weight on one token."""


def weight_flops_per_token(architecture: Architecture) -> int | None:
    """Operations of all matrix products with weights, for one token."""
    matrices = active_matrices(architecture)
    return None if matrices is None else _MULTIPLY_ADD * matrices


def attention_flops_per_token(architecture: Architecture, context: int) -> dict[str, int] | None:
    """Operations of attention scores and weighted sums over a context.

    Returns:
        By variant. Latent attention has two: ``absorbed`` reads the cached latent vectors as
        they are, which is how it is served; ``expanded`` reads keys and values unfolded for every
        head, which costs fewer operations and the memory that the latent form saves.
    """
    variants: dict[str, int]
    match architecture.attention:
        case None:
            return None
        case GroupedQuery() as attention:
            width = attention.head_dim + (attention.value_dim or attention.head_dim)
            variants = {attention.kind: attention.heads * width}
        case Latent() as attention:
            expanded = attention.nope_dim + attention.rope_dim + attention.value_dim
            variants = {
                "absorbed": attention.heads * (2 * attention.kv_rank + attention.rope_dim),
                "expanded": attention.heads * expanded,
            }
    tokens = _MULTIPLY_ADD * architecture.layers * context
    return {variant: tokens * width for variant, width in variants.items()}


def flops_per_token(architecture: Architecture, context: int) -> dict[str, int] | None:
    """Weights and attention together, by variant of attention."""
    weights = weight_flops_per_token(architecture)
    attention = attention_flops_per_token(architecture, context)
    if weights is None or attention is None:
        return None
    return {variant: weights + flops for variant, flops in attention.items()}


def speculative_speedup(acceptance: float, draft_cost: float = 0.0, draft_tokens: int = 1) -> float:
    """How much faster decoding is when drafted tokens are checked in one step.

    Args:
        acceptance: Chance that a drafted token is accepted, alike for each, from 0 to 1.
        draft_cost: Time to draft one token, as a fraction of a step of the model.
        draft_tokens: Drafted in each step.
    """
    if not (0 <= acceptance <= 1 and draft_cost >= 0 and draft_tokens >= 0):
        raise ValueError(
            f"acceptance={acceptance} must be 0 to 1, draft_cost={draft_cost} and "
            f"draft_tokens={draft_tokens} at least 0"
        )
    # The sum of a^0 to a^g, written out so that an acceptance of 1 is no special case.
    expected = sum(acceptance**drafted for drafted in range(draft_tokens + 1))
    return expected / (1 + draft_tokens * draft_cost)
