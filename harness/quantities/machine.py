"""Machines: what fits into their memory, and how fast that memory could serve at most."""

from typing import Annotated

from pydantic import Field, model_validator

from harness.io.sourced import Sourced
from harness.models.memory import kv_bytes, kv_bytes_per_token, kv_copies, weight_bytes
from harness.models.parameters import active_parameters, total_parameters
from harness.models.shape import Architecture, Name, Size
from harness.records import Count, Record

Positive = Annotated[float, Field(gt=0)]

TIGHT_FRACTION = 0.1
"""Within this fraction of the memory, a data sheet cannot decide: engines need memory besides
weights and cache, and a GPU sold as 80 GB has up to 7 % more bytes than that."""
_CHANNEL_BYTES = 8


class Precision(Sourced):
    """A way to store weights, one file of ``conf/precision``."""

    name: Name
    title: str
    bits_per_weight: Positive


class Machine(Sourced):
    """A device or computer, one file of ``conf/machine``, as its data sheet has it."""

    name: Name
    title: str
    match: tuple[str, ...] = ()
    """The driver's names of the device, the one with prices first; empty for a machine without
    GPU."""
    memory_bytes: Size
    """Memory of one device; a data sheet's GB are taken as 10^9 bytes."""
    most_devices: Size
    """Devices in one computer, at most."""
    peak_flops: dict[Name, Positive | None]
    """Dense operations per second, by precision, as far as they are known."""
    bandwidth_bytes_per_s: Positive | None = None
    memory_channels: Size | None = None
    """Channels of 64 bits; with ``transfers_per_s`` they replace the bandwidth."""
    transfers_per_s: Positive | None = None

    @model_validator(mode="after")
    def _bandwidth_is_said_once(self) -> "Machine":
        channels = (self.memory_channels, self.transfers_per_s)
        if (self.bandwidth_bytes_per_s is None) == (None in channels):
            raise ValueError(
                "give either bandwidth_bytes_per_s or both memory_channels and transfers_per_s"
            )
        return self

    @property
    def bandwidth(self) -> float:
        """Bytes per second between the memory and the arithmetic of one device."""
        if self.bandwidth_bytes_per_s is not None:
            return self.bandwidth_bytes_per_s
        assert self.memory_channels is not None  # checked by the validator
        assert self.transfers_per_s is not None
        return self.memory_channels * _CHANNEL_BYTES * self.transfers_per_s

    def counts(self) -> tuple[int, ...]:
        """Numbers of devices that a model is spread over: powers of two."""
        return tuple(2**n for n in range(self.most_devices.bit_length()))


class Fit(Record):
    """Whether weights and the cache of one sequence fit, and into how many devices."""

    devices: Count | None
    """The fewest that hold it; None when not even the most do."""
    needed_bytes: float
    memory_bytes: Count
    """Memory of these devices, or of the most devices where the model does not fit."""
    tight: bool
    """Too close to call from a data sheet."""
    kv_tokens_tensor_parallel: Count
    """Tokens whose cache fits beside the weights, over all sequences, when each layer is split over
    the devices. A latent cache cannot be split: every device holds all of it."""
    kv_tokens_data_parallel_attention: Count
    """The same when every device attends to different sequences, so that each token is cached once.
    The attention weights, which each device then holds, are counted once: an upper bound."""


def fit(
    architecture: Architecture, precision: Precision, machine: Machine, context: int
) -> Fit | None:
    """The fewest devices of a kind that hold a model; None where its size is not known."""
    weights = weight_bytes(total_parameters(architecture), precision.bits_per_weight)
    cache, per_token = kv_bytes(architecture, context), kv_bytes_per_token(architecture)
    if weights is None or cache is None or per_token is None:
        return None
    needed = weights + cache
    counts = machine.counts()
    devices = next((n for n in counts if n * machine.memory_bytes >= needed), None)
    spread = devices or counts[-1]
    memory = spread * machine.memory_bytes
    free = max(0.0, memory - weights)
    return Fit(
        devices=devices,
        needed_bytes=needed,
        memory_bytes=memory,
        tight=abs(needed / memory - 1) < TIGHT_FRACTION,
        kv_tokens_tensor_parallel=int(free // (per_token * kv_copies(architecture, spread))),
        kv_tokens_data_parallel_attention=int(free // per_token),
    )


def tokens_per_s_ceiling(
    architecture: Architecture, precision: Precision, bandwidth: float, context: int, batch: int = 1
) -> float | None:
    """Tokens/s that no engine can exceed, because memory must be read for each.

    A step reads the weights that a token uses and each sequence's cache, and yields one token a
    sequence. With experts the weights are those of a single sequence, so a ceiling for more than
    one is too high.

    Args:
        architecture: The model.
        precision: Of its weights; the cache is in bf16.
        bandwidth: Bytes per second of all devices together.
        context: Tokens in each sequence's cache.
        batch: Sequences that are served at once.
    """
    weights = weight_bytes(active_parameters(architecture), precision.bits_per_weight)
    cache = kv_bytes(architecture, context)
    if weights is None or cache is None:
        return None
    return batch * bandwidth / (weights + batch * cache)
