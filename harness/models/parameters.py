"""How many parameters a model has, and how many of them one token uses."""

from dataclasses import dataclass

from harness.models.shape import Architecture, Attention, Experts, GroupedQuery, Latent

_GATED = 3
"""Matrices of a gated feed-forward network: gate, up and down."""
_LAYER_NORMS = 2
_MTP_NORMS = 3
"""Norms of the embedding, of the hidden state, and before the shared head."""


@dataclass(frozen=True)
class Weights:
    """Parameters by what they are used for."""

    matrices: int = 0
    """Parameters in matrix products: each costs one multiplication and one addition per token."""
    vectors: int = 0
    """Biases and gains of norms, whose work does not count."""

    def __add__(self, other: "Weights") -> "Weights":
        """The sum of both."""
        return Weights(self.matrices + other.matrices, self.vectors + other.vectors)

    def __mul__(self, times: int) -> "Weights":
        """Several times the same parts."""
        return Weights(self.matrices * times, self.vectors * times)

    @property
    def total(self) -> int:
        """The number of all parameters."""
        return self.matrices + self.vectors


def total_parameters(architecture: Architecture) -> int | None:
    """Every parameter of the model proper: without its modules for multi-token prediction."""
    body = _body(architecture, every_expert=True)
    if body is None:
        return None
    head = 0 if architecture.tied_embeddings else embedding_parameters(architecture)
    return body.total + embedding_parameters(architecture) + head


def active_parameters(architecture: Architecture, *, with_embedding: bool = False) -> int | None:
    """Parameters that one token is computed with.

    The output head counts. The input embedding does not unless asked for: a token reads one row
    of it. This is what DeepSeek's "37B" and "2.4B" agree with.
    """
    body = _body(architecture, every_expert=False)
    if body is None:
        return None
    tables = 2 if with_embedding and not architecture.tied_embeddings else 1
    return body.total + tables * embedding_parameters(architecture)


def active_matrices(architecture: Architecture) -> int | None:
    """Weights that one token is multiplied with, output head included."""
    body = _body(architecture, every_expert=False)
    return None if body is None else body.matrices + embedding_parameters(architecture)


def mtp_parameters(architecture: Architecture) -> int | None:
    """Parameters of multi-token-prediction modules, without the shared embedding and head."""
    if architecture.attention is None:
        return None
    hidden = architecture.hidden
    joined = Weights(matrices=2 * hidden * hidden, vectors=_MTP_NORMS * hidden)
    module = _layer(architecture, architecture.attention, architecture.layers, every_expert=True)
    return (module + joined).total * architecture.mtp_modules


def embedding_parameters(architecture: Architecture) -> int:
    """One table of vocabulary by width."""
    return architecture.vocab * architecture.hidden


def _body(architecture: Architecture, *, every_expert: bool) -> Weights | None:
    """All layers and the last norm; None where attention is not published."""
    attention = architecture.attention
    if attention is None:
        return None
    body = Weights(vectors=architecture.hidden)
    for index in range(architecture.layers):
        body += _layer(architecture, attention, index, every_expert=every_expert)
    return body


def _layer(
    architecture: Architecture, attention: Attention, index: int, *, every_expert: bool
) -> Weights:
    hidden, experts = architecture.hidden, architecture.experts
    norms = Weights(vectors=_LAYER_NORMS * hidden)
    if experts is None or index < experts.dense_layers:
        network = Weights(matrices=_GATED * hidden * architecture.ffn)
    else:
        network = _mixture(experts, hidden, every_expert=every_expert)
    return _attention(attention, hidden) + network + norms


def _mixture(experts: Experts, hidden: int, *, every_expert: bool) -> Weights:
    used = experts.shared + (experts.routed if every_expert else experts.active)
    router = Weights(
        matrices=hidden * experts.routed, vectors=experts.routed if experts.router_bias else 0
    )
    return Weights(matrices=_GATED * hidden * experts.ffn) * used + router


def _attention(attention: Attention, hidden: int) -> Weights:
    match attention:
        case GroupedQuery():
            return _grouped(attention, hidden)
        case Latent():
            return _latent(attention, hidden)


def _grouped(attention: GroupedQuery, hidden: int) -> Weights:
    value_dim = attention.value_dim or attention.head_dim
    queries = attention.heads * attention.head_dim
    keys_and_values = attention.kv_heads * (attention.head_dim + value_dim)
    output = attention.heads * value_dim
    return Weights(
        matrices=hidden * (queries + keys_and_values + output),
        vectors=queries + keys_and_values if attention.qkv_bias else 0,
    )


def _latent(attention: Latent, hidden: int) -> Weights:
    queries = attention.heads * (attention.nope_dim + attention.rope_dim)
    rank = attention.query_rank
    query = Weights(hidden * queries) if rank is None else Weights(rank * (hidden + queries), rank)
    down = Weights(hidden * (attention.kv_rank + attention.rope_dim), attention.kv_rank)
    up = Weights(attention.kv_rank * attention.heads * (attention.nope_dim + attention.value_dim))
    output = Weights(attention.heads * attention.value_dim * hidden)
    return query + down + up + output
