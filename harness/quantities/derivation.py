"""All that follows for one model at one context, and how two models compare."""

from harness.io.sourced import Grade, Sourced
from harness.models.memory import kv_bytes, kv_bytes_per_token, weight_bytes
from harness.models.parameters import active_parameters, mtp_parameters, total_parameters
from harness.models.shape import Architecture, Latent
from harness.quantities.catalogue import quantity
from harness.quantities.figures import FIGURES
from harness.quantities.machine import Fit, fit, tokens_per_s_ceiling
from harness.quantities.other_attention import grouped_query, multi_head
from harness.quantities.published import machines, precisions, trainings
from harness.quantities.sourced import Quantity, citations
from harness.quantities.training import (
    Training,
    achieved_flops_per_gpu,
    days,
    rent_sensitivity,
    rent_usd,
    training_flops,
)
from harness.quantities.training_cost import active_in_training
from harness.quantities.work import (
    attention_flops_per_token,
    flops_per_token,
    weight_flops_per_token,
)
from harness.records import Record

Number = int | float


class TrainingFigures(Record):
    """Figures derived from one disclosed training."""

    title: str
    hours_cover: str
    """What the source's GPU-hours include."""
    gpu_hours: Number
    gpus: int | None
    days: float | None
    """Days if all GPUs worked all the time."""
    usd_per_gpu_hour: float | None
    usd: float | None
    usd_by_rent: dict[str, float]
    """Cost by rent in USD per GPU-hour."""
    flops: float | None
    flops_per_s_per_gpu: float | None
    """Throughput in the first stage."""
    utilisation: dict[str, float | None]
    """Utilisation of the GPU's dense peak, by precision."""
    grade: Grade


class Derivation(Record):
    """All figures of a model, in plain units. Unknown is None."""

    model: str
    title: str
    context_tokens: int
    notes: tuple[str, ...]
    total_parameters: int | None
    mtp_parameters: int | None
    active_parameters: int | None
    active_parameters_with_embedding: int | None
    weight_flops_per_token: int | None
    attention_flops_per_token: dict[str, int] | None
    flops_per_token: dict[str, int] | None
    kv_bytes_per_token: Number | None
    kv_bytes: Number | None
    kv_bytes_per_token_with_other_attention: dict[str, Number | None]
    weight_bytes: dict[str, Number | None]
    native_precision: str
    """The precision of its published weights."""
    fits: dict[str, dict[str, Fit | None]]
    """By machine and precision, with the cache of one sequence."""
    tokens_per_s_ceiling: dict[str, dict[str, float | None]]
    """Upper limit for one sequence on the fewest devices, likewise; None where it does not fit."""
    training: dict[str, TrainingFigures]
    quantities: dict[str, Quantity]
    grade: Grade
    """The grade of the architecture: machines, trainings and quantities have separate ones."""
    sources: tuple[str, ...]


def derive(architecture: Architecture, context: int) -> Derivation:
    """Computes everything for one model."""
    widths, devices = precisions().values(), machines().values()
    parameters = total_parameters(architecture)
    fits = {
        machine.name: {width.name: fit(architecture, width, machine, context) for width in widths}
        for machine in devices
    }
    ceilings = {
        machine.name: {
            width.name: tokens_per_s_ceiling(
                architecture, width, found.devices * machine.bandwidth, context
            )
            if (found := fits[machine.name][width.name]) and found.devices
            else None
            for width in widths
        }
        for machine in devices
    }
    disclosed = [trainings()[name] for name in architecture.training]
    quantities = {name: quantity(name) for name in architecture.quantities}
    inputs: list[Sourced | Quantity] = [architecture, *disclosed, *devices, *widths]
    return Derivation(
        model=architecture.name,
        title=architecture.title,
        context_tokens=context,
        notes=_notes(architecture, context),
        total_parameters=parameters,
        mtp_parameters=mtp_parameters(architecture),
        active_parameters=active_parameters(architecture),
        active_parameters_with_embedding=active_parameters(architecture, with_embedding=True),
        weight_flops_per_token=weight_flops_per_token(architecture),
        attention_flops_per_token=attention_flops_per_token(architecture, context),
        flops_per_token=flops_per_token(architecture, context),
        kv_bytes_per_token=kv_bytes_per_token(architecture),
        kv_bytes=kv_bytes(architecture, context),
        kv_bytes_per_token_with_other_attention=_other_attention(architecture),
        weight_bytes={
            width.name: weight_bytes(parameters, width.bits_per_weight) for width in widths
        },
        native_precision=architecture.native_precision,
        fits=fits,
        tokens_per_s_ceiling=ceilings,
        training={each.name: _training(each) for each in disclosed},
        quantities=quantities,
        grade=architecture.grade,
        sources=citations([*inputs, *quantities.values()]),
    )


def ratios(this: Architecture, other: Architecture, context: int) -> dict[str, float | None]:
    """Each figure of one model divided by the other's; None where either is unknown or 0."""
    found: dict[str, float | None] = {}
    for name, figure in FIGURES.items():
        one, two = figure.value(this, context), figure.value(other, context)
        found[name] = None if one is None or not two else one / two
    return found


def _notes(architecture: Architecture, context: int) -> tuple[str, ...]:
    most = architecture.context_tokens
    if most is None or context <= most:
        return ()
    return (
        f"{architecture.title} was made for {most:,} tokens: figures at {context:,} are "
        "arithmetic only",
    )


def _other_attention(architecture: Architecture) -> dict[str, Number | None]:
    if not isinstance(architecture.attention, Latent):
        return {}
    return {
        "multi_head": kv_bytes_per_token(multi_head(architecture)),
        "multi_head_128": kv_bytes_per_token(multi_head(architecture, 128)),
        "gqa_8": kv_bytes_per_token(grouped_query(architecture, 8)),
    }


def _training(training: Training) -> TrainingFigures:
    flops = training_flops(active_in_training(training).value, training.tokens)
    speed = achieved_flops_per_gpu(flops, training.stages[0].gpu_hours)
    peaks = machines()[training.machine].peak_flops
    return TrainingFigures(
        title=training.title,
        hours_cover=training.hours_cover,
        gpu_hours=training.gpu_hours,
        gpus=training.gpus,
        days=days(training.gpu_hours, training.gpus),
        usd_per_gpu_hour=training.usd_per_gpu_hour,
        usd=rent_usd(training.gpu_hours, training.usd_per_gpu_hour),
        usd_by_rent={
            f"{price:g}": usd for price, usd in rent_sensitivity(training.gpu_hours).items()
        },
        flops=flops,
        flops_per_s_per_gpu=speed,
        utilisation={
            name: None if speed is None or peak is None else speed / peak
            for name, peak in peaks.items()
        },
        grade=training.grade,
    )
