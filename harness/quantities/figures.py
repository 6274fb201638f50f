"""The figures that follow from one model's architecture, each with how it is computed."""

from collections.abc import Callable
from typing import NamedTuple

from harness.models.memory import kv_bytes, kv_bytes_per_token, weight_bytes
from harness.models.parameters import (
    active_matrices,
    active_parameters,
    mtp_parameters,
    total_parameters,
)
from harness.models.shape import Architecture, GroupedQuery, Latent
from harness.quantities.published import find_architecture, precisions
from harness.quantities.sourced import Quantity, computed, shown
from harness.quantities.work import (
    attention_flops_per_token,
    flops_per_token,
    weight_flops_per_token,
)

DEFAULT_CONTEXT = 32_768


class ModelFigure(NamedTuple):
    """How one figure is computed from an architecture and a context."""

    unit: str
    value: Callable[[Architecture, int], float | None]
    words: Callable[[Architecture, int], str]


def figures(name: str, context: int = DEFAULT_CONTEXT) -> dict[str, float | None]:
    """All figures of a model by name, in plain units; unknown is None.

    Raises:
        UserError: No architecture goes by this name.
    """
    architecture = find_architecture(name)
    return {key: figure.value(architecture, context) for key, figure in FIGURES.items()}


def figure(architecture: Architecture, name: str, context: int = DEFAULT_CONTEXT) -> Quantity:
    """One of ``FIGURES`` with its arithmetic and sources."""
    how = FIGURES[name]
    words = "not published" if architecture.attention is None else how.words(architecture, context)
    precision = precisions().get(name.removeprefix("weight_bytes_"))
    return computed(
        how.value(architecture, context),
        how.unit,
        f"{architecture.title}: {words}",
        architecture,
        *([precision] if precision else []),
    )


def variant(architecture: Architecture, *, expanded: bool) -> str | None:
    """The form of attention: as served, or unfolded where that differs."""
    match architecture.attention:
        case GroupedQuery() as attention:
            return None if expanded else attention.kind
        case Latent():
            return "expanded" if expanded else "absorbed"
        case None:
            return None


def _of_variant(
    flops: Callable[[Architecture, int], dict[str, int] | None], *, expanded: bool
) -> Callable[[Architecture, int], float | None]:
    def value(architecture: Architecture, context: int) -> float | None:
        which = variant(architecture, expanded=expanded)
        found = flops(architecture, context)
        return None if which is None or found is None else found[which]

    return value


def _attention_words(*, expanded: bool) -> Callable[[Architecture, int], str]:
    def words(architecture: Architecture, context: int) -> str:
        layers = f"{architecture.layers} layers"
        match architecture.attention:
            case GroupedQuery() as a if not expanded:
                return f"4 x {layers} x {a.heads} heads x {a.head_dim} x {context:,} tokens"
            case Latent() as a if expanded:
                width = f"({a.nope_dim} + {a.rope_dim} + {a.value_dim})"
            case Latent() as a:
                width = f"(2 x {a.kv_rank} + {a.rope_dim})"
            case _:
                return "only latent attention has this form"
        return f"2 x {layers} x {a.heads} heads x {width} x {context:,} tokens"

    return words


def _kv_words(architecture: Architecture, _context: int) -> str:
    match architecture.attention:
        case GroupedQuery() as a:
            width = f"2 x {a.kv_heads} heads x {a.head_dim}"
            if a.value_dim not in {None, a.head_dim}:
                width = f"{a.kv_heads} heads x ({a.head_dim} + {a.value_dim})"
        case Latent() as a:
            width = f"({a.kv_rank} + {a.rope_dim})"
        case None:
            width = "unknown"
    return f"{width} x {architecture.layers} layers x 2 bytes"


def _experts_words(architecture: Architecture) -> str:
    experts = architecture.experts
    if experts is None:
        return "all layers dense"
    return (
        f"{experts.dense_layers} of them dense, the others with {experts.routed} routed and "
        f"{experts.shared} shared experts"
    )


def _active_words(architecture: Architecture, _context: int) -> str:
    if architecture.experts is None:
        return f"{architecture.layers} layers and output head, without the input embedding"
    return (
        f"{architecture.layers} layers with {architecture.experts.active} of "
        f"{architecture.experts.routed} routed experts, and output head, without the input "
        "embedding"
    )


def _weight_bytes(bits: str) -> ModelFigure:
    return ModelFigure(
        "bytes",
        lambda a, _: weight_bytes(total_parameters(a), precisions()[bits].bits_per_weight),
        lambda a, _: (
            f"{shown(total_parameters(a))} x {precisions()[bits].bits_per_weight:g} bits / 8"
        ),
    )


def _flops_words(*, expanded: bool) -> Callable[[Architecture, int], str]:
    attention = _of_variant(attention_flops_per_token, expanded=expanded)

    def words(architecture: Architecture, context: int) -> str:
        weights = shown(weight_flops_per_token(architecture))
        return f"{weights} of weights + {shown(attention(architecture, context))} of attention"

    return words


def _active_experts(architecture: Architecture, _context: int) -> float | None:
    experts = architecture.experts
    return None if experts is None else experts.active / experts.routed


FIGURES: dict[str, ModelFigure] = {
    "total_parameters": ModelFigure(
        "parameters",
        lambda a, _: total_parameters(a),
        lambda a, _: (
            f"{a.vocab:,} x {a.hidden:,} for each of "
            f"{'one shared table' if a.tied_embeddings else 'embedding and head'}, and "
            f"{a.layers} layers, {_experts_words(a)}"
        ),
    ),
    "mtp_parameters": ModelFigure(
        "parameters",
        lambda a, _: mtp_parameters(a),
        lambda a, _: f"{a.mtp_modules} modules, each a layer and a projection of twice the width",
    ),
    "active_parameters": ModelFigure(
        "parameters", lambda a, _: active_parameters(a), _active_words
    ),
    "active_parameters_with_embedding": ModelFigure(
        "parameters",
        lambda a, _: active_parameters(a, with_embedding=True),
        lambda a, context: _active_words(a, context).replace("without", "with"),
    ),
    "active_expert_fraction": ModelFigure(
        "of routed experts",
        _active_experts,
        lambda a, _: f"{a.experts.active} / {a.experts.routed}" if a.experts else "no experts",
    ),
    "weight_flops_per_token": ModelFigure(
        "FLOP",
        lambda a, _: weight_flops_per_token(a),
        lambda a, _: f"2 x {shown(active_matrices(a))} weights in matrix products",
    ),
    "attention_flops_per_token": ModelFigure(
        "FLOP",
        _of_variant(attention_flops_per_token, expanded=False),
        _attention_words(expanded=False),
    ),
    "attention_flops_per_token_expanded": ModelFigure(
        "FLOP",
        _of_variant(attention_flops_per_token, expanded=True),
        _attention_words(expanded=True),
    ),
    "flops_per_token": ModelFigure(
        "FLOP", _of_variant(flops_per_token, expanded=False), _flops_words(expanded=False)
    ),
    "flops_per_token_expanded": ModelFigure(
        "FLOP", _of_variant(flops_per_token, expanded=True), _flops_words(expanded=True)
    ),
    "kv_bytes_per_token": ModelFigure("bytes", lambda a, _: kv_bytes_per_token(a), _kv_words),
    "kv_bytes": ModelFigure(
        "bytes",
        kv_bytes,
        lambda a, context: f"{shown(kv_bytes_per_token(a))} x {context:,} tokens",
    ),
    "weight_bytes_bf16": _weight_bytes("bf16"),
    "weight_bytes_fp8": _weight_bytes("fp8"),
    "weight_bytes_q4": _weight_bytes("q4"),
}
"""By the name that claims and programs use. Attention is in the form that is served."""
