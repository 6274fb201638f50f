"""A model with another form of attention, for comparison."""

from harness.models.shape import Architecture, GroupedQuery, Latent


def multi_head(architecture: Architecture, head_dim: int | None = None) -> Architecture:
    """The model if every head of its latent attention kept separate keys and values.

    Args:
        architecture: With latent attention.
        head_dim: Of keys and values alike; None keeps the model's own two widths.
    """
    latent = _latent(architecture)
    return _with_attention(
        architecture,
        GroupedQuery(
            kind="mha",
            heads=latent.heads,
            kv_heads=latent.heads,
            head_dim=head_dim or latent.nope_dim + latent.rope_dim,
            value_dim=head_dim or latent.value_dim,
        ),
    )


def grouped_query(architecture: Architecture, kv_heads: int) -> Architecture:
    """The model if its latent attention were grouped-query attention."""
    latent = _latent(architecture)
    return _with_attention(
        architecture,
        GroupedQuery(kind="gqa", heads=latent.heads, kv_heads=kv_heads, head_dim=latent.value_dim),
    )


def _latent(architecture: Architecture) -> Latent:
    if not isinstance(architecture.attention, Latent):
        raise TypeError(f"{architecture.name} has no latent attention to replace")
    return architecture.attention


def _with_attention(architecture: Architecture, attention: GroupedQuery) -> Architecture:
    return architecture.model_copy(update={"attention": attention})
