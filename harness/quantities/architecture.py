"""A transformer's published configuration: all that its sizes and its work follow from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.quantities.sourced import Sourced
from harness.records import Count, Record

Size = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class GroupedQuery(Record):
    """Attention whose query heads share keys and values in groups; plain when none share."""

    kind: Literal["gqa", "mha"]
    heads: Size
    kv_heads: Size
    head_dim: Size
    """Of a query and a key."""
    value_dim: Size | None = None
    """Of a value. None: as a key."""
    qkv_bias: bool = False

    @model_validator(mode="after")
    def _groups_are_even(self) -> "GroupedQuery":
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads={self.kv_heads} does not divide heads={self.heads}")
        if self.kind == "mha" and self.heads != self.kv_heads:
            raise ValueError(f"kind=mha needs kv_heads={self.heads}, not {self.kv_heads}")
        return self


class Latent(Record):
    """Multi-head latent attention: keys and values are unfolded from one small vector a token."""

    kind: Literal["mla"]
    heads: Size
    query_rank: Size | None
    """Of the queries' own low-rank detour; None where there is none."""
    kv_rank: Size
    """Of the latent vector that is cached."""
    nope_dim: Size
    """Of the part of a key without position."""
    rope_dim: Size
    """Of the rotary part, which all heads share."""
    value_dim: Size


Attention = Annotated[GroupedQuery | Latent, Field(discriminator="kind")]


class Experts(Record):
    """A mixture of experts in place of the dense feed-forward network."""

    routed: Size
    shared: Count
    """Used by every token."""
    active: Size
    """Routed experts that one token uses."""
    ffn: Size
    """Inner width of one expert."""
    dense_layers: Count
    """First layers that keep a dense network."""
    router_bias: bool
    """One bias an expert, by which load is balanced without a loss."""

    @model_validator(mode="after")
    def _active_are_among_routed(self) -> "Experts":
        if self.active > self.routed:
            raise ValueError(f"active={self.active} is more than routed={self.routed}")
        return self


class Architecture(Sourced):
    """One file of ``conf/architecture``."""

    name: Name
    title: str
    """For people."""
    aliases: tuple[str, ...]
    """Other names that it goes by, checkpoints of the same shape included."""
    layers: Size
    hidden: Size
    ffn: Size
    """Inner width of a dense feed-forward network."""
    vocab: Size
    tied_embeddings: bool
    """The output head is the input embedding."""
    attention: Attention | None
    """None where it is not published; what needs it is then unknown."""
    experts: Experts | None = None
    mtp_modules: Count = 0
    """Layers for multi-token prediction behind the model proper, which is counted without them."""
    native_precision: Name
    """Of the published weights: a file of ``conf/precision``."""
    context_tokens: Size | None
    """Prompt and output together that the model was made for."""
    training: tuple[Name, ...] = ()
    """Files of ``conf/training``."""
    quantities: tuple[Name, ...] = ()
    """Of the catalogue: what else is shown of this model."""

    @model_validator(mode="after")
    def _some_layers_have_experts(self) -> "Architecture":
        if self.experts and self.experts.dense_layers >= self.layers:
            raise ValueError(
                f"experts.dense_layers={self.experts.dense_layers} leaves none of "
                f"{self.layers} layers to experts"
            )
        return self


def multi_head(architecture: Architecture, head_dim: int | None = None) -> Architecture:
    """The same model if every head of its latent attention kept its own keys and values.

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
    """The same model if its latent attention were grouped-query attention."""
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
