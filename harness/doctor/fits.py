"""Which models fit into this machine's memory, and at which context."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.engines.vllm_memory import VLLM_GPU_FRACTION
from harness.machine import hardware
from harness.machine.provenance import GpuInfo
from harness.models import ModelConfig
from harness.models.memory import (
    BYTES_PER_VALUE,
    HALF,
    kv_bytes_per_token,
    kv_copies,
    most_devices,
    unquantised_bytes,
)
from harness.records import Count, Record

USABLE_FRACTION = VLLM_GPU_FRACTION
"""Usable share of the memory for weights and cache. On a GPU it is vLLM's default share, which
includes activations; a processor's engine needs about as much for itself."""
LONG_CONTEXT = 32_768
"""Tokens that DeepSeek lets the R1 distills generate."""


class Place(NamedTuple):
    """Memory that a model could be loaded into."""

    name: str
    devices: int
    memory_bytes: int
    """Memory of all devices together."""
    bytes_per_value: int = HALF


class Fit(Record):
    """One model in one place, unquantised."""

    model: str
    place: str
    devices: Count
    """Number of devices in use: as many as the model's heads can be split over."""
    weights_bytes: Count
    kv_bytes_per_token: Count
    """Bytes per token on all devices together."""
    memory_bytes: Count
    """Memory that weights and cache may use."""
    context_tokens: Count | None
    """The longest that fits, at most the model's own; None where the weights do not fit."""
    long_contexts: Count
    """Contexts of 32,768 tokens that fit at once."""


def places(gpus: Sequence[GpuInfo], memory_bytes: int) -> list[Place]:
    """One GPU, all GPUs, or the processor; GPUs without separate memory are left out."""
    own = [gpu.memory_bytes for gpu in gpus if gpu.memory_bytes is not None]
    found = []
    if own:
        found.append(Place(f"1 x {gpus[0].name}", 1, own[0]))
    if len(own) > 1:
        # Weights are spread evenly, so the smallest decides.
        found.append(Place(f"{len(own)} GPUs", len(own), len(own) * min(own)))
    width = BYTES_PER_VALUE["bfloat16" if hardware.cpu_has_bfloat16() else "float32"]
    return [*found, Place("CPU", 1, memory_bytes, width)]


def fits(models: Iterable[ModelConfig], where: Sequence[Place]) -> list[Fit]:
    """Each model of known size in each place."""
    return [found for model in models for place in where if (found := fit(model, place))]


def fit(model: ModelConfig, place: Place) -> Fit | None:
    """How a model fits into a place; None where its sizes are not known."""
    shape, parameters = model.shape, model.parameters
    if shape is None or parameters is None:
        return None
    devices = most_devices(shape.attention, place.devices)
    weights = unquantised_bytes(parameters, place.bytes_per_value)
    # More devices than key-value heads: each keeps a copy of one.
    per_token = int(kv_bytes_per_token(shape, place.bytes_per_value) * kv_copies(shape, devices))
    memory = int(USABLE_FRACTION * place.memory_bytes * devices / place.devices)
    tokens = (memory - weights) // per_token
    most = tokens if model.context_tokens is None else min(tokens, model.context_tokens)
    return Fit(
        model=model.name,
        place=place.name,
        devices=devices,
        weights_bytes=weights,
        kv_bytes_per_token=per_token,
        memory_bytes=memory,
        context_tokens=most if tokens > 0 else None,
        long_contexts=max(0, tokens // LONG_CONTEXT),
    )
