"""The cost of training: GPU-hours, rent at a price, days on a cluster, and plausibility checks."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from harness.io.sourced import Sourced
from harness.metrics.cost import SECONDS_PER_HOUR
from harness.models.shape import Name, Size
from harness.records import Record

Positive = Annotated[float, Field(gt=0)]

RENTS_USD_PER_HOUR = (1.5, 2.0, 3.0, 4.0)
"""Rents for which cost is shown, since the rent of a training is always an assumption."""
_HOURS_PER_DAY = 24
_FLOPS_PER_PARAMETER_AND_TOKEN = 6
"""Forward 2, backward 4; attention is left out."""


class Stage(Record):
    """A part of a training with its own count of hours."""

    name: str
    gpu_hours: Positive


class Training(Sourced):
    """A disclosed training, one file of ``conf/training``."""

    name: Name
    title: str
    hours_cover: str = Field(min_length=1)
    """What the source's GPU-hours include, in a few words: sources rarely count alike."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """The stages; the first is the pre-training."""
    tokens: Positive | None
    """Tokens of the pre-training."""
    active_parameters: Positive | None
    """Active parameters as the source rounds them; None: computed from the architecture."""
    machine: Name
    """The machine it ran on: a file of ``conf/machine``."""
    gpus: Size | None
    usd_per_gpu_hour: Positive | None
    """The rent that the source assumes."""

    @property
    def gpu_hours(self) -> float:
        """GPU-hours of all stages."""
        return sum(stage.gpu_hours for stage in self.stages)


def rent_usd(gpu_hours: float, usd_per_gpu_hour: float | None) -> float | None:
    """The cost of GPU-hours at a price; None without a price."""
    return None if usd_per_gpu_hour is None else gpu_hours * usd_per_gpu_hour


def rent_sensitivity(gpu_hours: float) -> Mapping[float, float]:
    """The cost at each of a few prices."""
    return {price: gpu_hours * price for price in RENTS_USD_PER_HOUR}


def days(gpu_hours: float, gpus: float | None) -> float | None:
    """Days that a cluster needs for GPU-hours; None without its number of GPUs."""
    return None if gpus is None else gpu_hours / gpus / _HOURS_PER_DAY


def training_flops(active_parameters: float | None, tokens: float | None) -> float | None:
    """Operations of a pre-training by the usual rule of 6 for each parameter and token."""
    if active_parameters is None or tokens is None:
        return None
    return _FLOPS_PER_PARAMETER_AND_TOKEN * active_parameters * tokens


def achieved_flops_per_gpu(flops: float | None, gpu_hours: float) -> float | None:
    """Operations per second that each GPU must have done; above its peak, a figure is wrong."""
    return None if flops is None else flops / (gpu_hours * SECONDS_PER_HOUR)
