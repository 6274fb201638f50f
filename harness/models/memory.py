"""The memory of a model: every formula for its weights, its cache and the work of one step.

Nothing here depends on an engine or a device. Engines, the plan of a run, the doctor, claims and
derivations all compute with these.
"""

from typing import overload

from harness.models.shape import Architecture, GroupedQuery, Latent, ModelShape

BITS_PER_BYTE = 8
BYTES_PER_VALUE = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes per value, by data type."""
HALF = 2
"""Bytes of a value of bfloat16 or float16."""
_GATED = 3
"""Vectors of a gated feed-forward network's inner width: gate, up and their product."""
_RESIDUAL = 4
"""Vectors of the width of the hidden state: an estimate."""
_SAMPLER_BYTES = 20
"""Bytes per logit: in float32, sorted in float32 with its index, its probability, a copy."""


# --- weights ---------------------------------------------------------------------------------


@overload
def weight_bytes(parameters: int, bits_per_weight: float) -> float: ...
@overload
def weight_bytes(parameters: int | None, bits_per_weight: float) -> float | None: ...
def weight_bytes(parameters: int | None, bits_per_weight: float) -> float | None:
    """Bytes of the weights at a given precision; None where the number of parameters is unknown."""
    return None if parameters is None else parameters * bits_per_weight / BITS_PER_BYTE


def unquantised_bytes(parameters: int, bytes_per_value: int = HALF) -> int:
    """Bytes of parameters stored as floats."""
    return parameters * bytes_per_value


# --- keys and values -------------------------------------------------------------------------


@overload
def kv_bytes_per_token(shape: ModelShape, bytes_per_value: int = HALF) -> int: ...
@overload
def kv_bytes_per_token(
    shape: ModelShape | Architecture, bytes_per_value: int = HALF
) -> int | None: ...
def kv_bytes_per_token(shape: ModelShape | Architecture, bytes_per_value: int = HALF) -> int | None:
    """Bytes that one token leaves in the cache; None where attention is not published.

    Grouped-query attention caches keys and values, latent attention its latent form.
    """
    match shape.attention:
        case None:
            return None
        case GroupedQuery() as attention:
            width = attention.head_dim + (attention.value_dim or attention.head_dim)
            values = attention.kv_heads * width
        case Latent() as attention:
            values = attention.kv_rank + attention.rope_dim
    return values * shape.layers * bytes_per_value


@overload
def kv_bytes(shape: ModelShape, context: int, bytes_per_value: int = HALF) -> int: ...
@overload
def kv_bytes(
    shape: ModelShape | Architecture, context: int, bytes_per_value: int = HALF
) -> int | None: ...
def kv_bytes(
    shape: ModelShape | Architecture, context: int, bytes_per_value: int = HALF
) -> int | None:
    """Bytes of the KV cache for one sequence of ``tokens`` tokens; None where unknown."""
    per_token = kv_bytes_per_token(shape, bytes_per_value)
    return None if per_token is None else per_token * context


def kv_copies(shape: ModelShape | Architecture, devices: int) -> float:
    """How often each cached value is stored when every layer is split over devices.

    Tensor parallelism splits heads. Groups of keys and values are split as far as they go round;
    the latent vector belongs to all heads, so each device keeps the whole of it.
    """
    match shape.attention:
        case GroupedQuery() as attention:
            return max(1.0, devices / attention.kv_heads)
        case Latent():
            return float(devices)
        case None:
            return 1.0


def most_devices(attention: GroupedQuery, devices: int) -> int:
    """Over how many of these devices the heads of a model can be spread.

    They must divide the query heads, and the heads of keys and values or their copies.
    """
    heads, kv_heads = attention.heads, attention.kv_heads
    return next(
        n
        for n in range(devices, 0, -1)
        if heads % n == 0 and (kv_heads % n == 0 or n % kv_heads == 0)
    )


# --- the work of one step --------------------------------------------------------------------


def activation_bytes(shape: ModelShape, tokens: int, devices: int) -> int:
    """Bytes of activations for a step of ``tokens`` tokens on all devices, in half precision.

    They are those of the widest layer: gate, up and product of the MLP, which is split over the
    devices, and four times the hidden state, which each device has.
    """
    wide = _GATED * shape.ffn + _RESIDUAL * shape.hidden * devices
    return tokens * wide * HALF


def sampler_bytes(shape: ModelShape, sequences: int, devices: int) -> int:
    """Bytes for choosing the next token of each sequence, on all devices."""
    return sequences * shape.vocab * _SAMPLER_BYTES * devices
