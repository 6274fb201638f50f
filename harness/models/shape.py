"""The shape of a model: all that its memory and its work follow from, and where it is read.

An ``Architecture`` is a file of ``conf/architecture``: published, with its source. A ``ModelShape``
is what a run records and what a checkpoint's ``config.json`` gives. The formulas of ``memory`` take
either.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from harness.io.conf_files import names_in, read_file
from harness.io.paths import cached_by_places
from harness.io.sourced import Sourced
from harness.records import Count, Record

ARCHITECTURE = "architecture"
"""The group of ``conf/``, and the key of a model that names a file of it."""
FULL_ATTENTION = "full_attention"
Size = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class GroupedQuery(Record):
    """Attention whose query heads share keys and values in groups; plain when none share."""

    kind: Literal["gqa", "mha"]
    heads: Size
    kv_heads: Size
    head_dim: Size
    """Dimension of a query and of a key."""
    value_dim: Size | None = None
    """Dimension of a value; None: as a key."""
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
    """Rank of the queries' low-rank projection; None without one."""
    kv_rank: Size
    """Rank of the cached latent vector."""
    nope_dim: Size
    """Dimension of the part of a key without position."""
    rope_dim: Size
    """Dimension of the rotary part, which all heads share."""
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


class ModelShape(Record):
    """The shape of a model with plain grouped-query attention over the whole context in all layers.

    Runs record it in this form.
    """

    layers: Count
    """Number of layers."""
    attention_heads: Count
    """Query heads per layer."""
    kv_heads: Count
    """Key and value heads per layer."""
    hidden: Count
    """Width of the residual stream."""
    ffn: Count
    """Inner width of the feed-forward network."""
    vocab: Count
    """Size of the vocabulary."""

    @property
    def attention(self) -> GroupedQuery:
        """The attention of each layer; heads share the hidden state evenly."""
        # Without validation, so that a run that was recorded with an odd shape stays readable.
        return GroupedQuery.model_construct(
            kind="gqa",
            heads=self.attention_heads,
            kv_heads=self.kv_heads,
            head_dim=self.hidden // max(1, self.attention_heads),
        )


class Architecture(Sourced):
    """One file of ``conf/architecture``."""

    name: Name
    title: str
    """The architecture's name for tables."""
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
    """The attention; None where it is not published, and then what depends on it is unknown."""
    experts: Experts | None = None
    mtp_modules: Count = 0
    """Layers for multi-token prediction behind the model proper, which is counted without them."""
    native_precision: Name
    """The precision of the published weights, a file of ``conf/precision``."""
    context_tokens: Size | None
    """Prompt and output together that the model was made for."""
    training: tuple[Name, ...] = ()
    """Files of ``conf/training``."""
    quantities: tuple[Name, ...] = ()
    """Further quantities of the catalogue to show for this model."""

    @model_validator(mode="after")
    def _some_layers_have_experts(self) -> "Architecture":
        if self.experts and self.experts.dense_layers >= self.layers:
            raise ValueError(
                f"experts.dense_layers={self.experts.dense_layers} leaves none of "
                f"{self.layers} layers to experts"
            )
        return self

    @property
    def model_shape(self) -> ModelShape | None:
        """The shape as a run records it; None where that form cannot express it."""
        attention = self.attention
        if not isinstance(attention, GroupedQuery) or self.experts is not None:
            return None
        shape = ModelShape(
            layers=self.layers,
            attention_heads=attention.heads,
            kv_heads=attention.kv_heads,
            hidden=self.hidden,
            ffn=self.ffn,
            vocab=self.vocab,
        )
        is_even = attention.heads * attention.head_dim == self.hidden
        is_plain = is_even and attention.value_dim in {None, attention.head_dim}
        return shape if is_plain else None


def architecture_names() -> tuple[str, ...]:
    """The files of ``conf/architecture``."""
    return names_in(ARCHITECTURE)


@cached_by_places
def read_architecture(name: str) -> Architecture:
    """One file of ``conf/architecture``.

    Raises:
        UserError: It is no architecture.
    """
    return read_file(ARCHITECTURE, name, Architecture)


def shape_of_config(config: dict[str, Any]) -> ModelShape | None:
    """The shape in the text part of a ``config.json``.

    None unless every layer has plain grouped-query attention over the whole context.
    """
    heads = config.get("num_attention_heads")
    try:
        shape = ModelShape(
            layers=config["num_hidden_layers"],
            attention_heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            hidden=config["hidden_size"],
            ffn=config["intermediate_size"],
            vocab=config["vocab_size"],
        )
    except (KeyError, ValidationError):
        return None
    head_dim = config.get("head_dim") or shape.hidden / max(1, shape.attention_heads)
    is_windowed = config.get("sliding_window") and config.get("use_sliding_window", True)
    is_plain = (
        head_dim * shape.attention_heads == shape.hidden
        and set(config.get("layer_types") or [FULL_ATTENTION]) == {FULL_ATTENTION}
        and not is_windowed
        and not config.get("kv_lora_rank")
    )
    return shape if is_plain else None
