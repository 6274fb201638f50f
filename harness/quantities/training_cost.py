"""Quantities of training: GPU-hours, money, days and plausibility, and their ratios."""

from collections.abc import Callable, Mapping

from harness.quantities.figures import figure
from harness.quantities.published import architectures, fact, machines, trainings
from harness.quantities.sourced import Quantity, computed, looked_up, ratio, shown
from harness.quantities.training import (
    Training,
    achieved_flops_per_gpu,
    days,
    rent_usd,
    training_flops,
)


def gpu_hours(training: Training) -> Quantity:
    """GPU-hours of all stages."""
    words = " + ".join(f"{shown(stage.gpu_hours)} {stage.name}" for stage in training.stages)
    return computed(training.gpu_hours, "GPU-hours", words, training)


def hours_ratio(this: Training, other: Training) -> Quantity:
    """GPU-hours of one training over another's, with what each source includes."""
    mine, theirs = gpu_hours(this), gpu_hours(other)
    words = " / ".join(
        f"{shown(hours.value)} GPU-hours ({training.title}: {training.hours_cover})"
        for hours, training in ((mine, this), (theirs, other))
    )
    return computed(mine.number / theirs.number, "times", words, mine, theirs)


def rent(hours: Quantity, usd_per_gpu_hour: float | None) -> Quantity:
    """The cost of GPU-hours at a price."""
    words = f"{shown(hours.value)} GPU-hours x {shown(usd_per_gpu_hour)} USD/h"
    value = rent_usd(hours.number, usd_per_gpu_hour)
    return computed(value, "USD", words, hours)


def pretraining_hours(training: Training) -> Quantity:
    """GPU-hours of the first stage."""
    return looked_up(training.stages[0].gpu_hours, "GPU-hours", training)


def active_in_training(training: Training) -> Quantity:
    """Active parameters as the source rounds them, else as computed, embedding included."""
    if training.active_parameters is not None:
        return looked_up(training.active_parameters, "parameters", training)
    mine = next(each for each in architectures().values() if training.name in each.training)
    return figure(mine, "active_parameters_with_embedding")


def flops(training: Training) -> Quantity:
    """Operations of the pre-training, attention left out."""
    active = active_in_training(training)
    return computed(
        training_flops(active.value, training.tokens),
        "FLOP",
        f"6 x {shown(active.value)} parameters x {shown(training.tokens)} tokens",
        active,
        training,
    )


def achieved(training: Training, operations: Quantity) -> Quantity:
    """Operations per second that each GPU must have done in the pre-training."""
    hours = pretraining_hours(training)
    return computed(
        achieved_flops_per_gpu(operations.value, hours.number),
        "FLOP/s",
        f"{shown(operations.value)} FLOP / ({shown(hours.value)} GPU-hours x 3,600 s)",
        operations,
        hours,
    )


def utilisation(training: Training, operations: Quantity, precision: str) -> Quantity:
    """Share of the peak that each GPU must have reached; above 1 the hours cannot be true."""
    machine = machines()[training.machine]
    peak = looked_up(machine.peak_flops.get(precision), "FLOP/s", machine)
    return ratio(achieved(training, operations), peak, "of peak")


def duration(hours: Quantity, gpus: Quantity) -> Quantity:
    """Days that a number of GPUs needs for GPU-hours."""
    value = days(hours.number, gpus.value)
    words = f"{shown(hours.value)} GPU-hours / {shown(gpus.value)} GPUs / 24 h"
    return computed(value, "days", words, hours, gpus)


def training_quantities() -> Mapping[str, Callable[[], Quantity]]:
    """Quantities of training cost, by name."""
    return {
        "v3_gpu_hours": lambda: gpu_hours(_v3()),
        "v3_training_usd": lambda: rent(gpu_hours(_v3()), _v3().usd_per_gpu_hour),
        "v3_and_r1_training_usd": _v3_and_r1,
        "v3_training_gpus": _v3_gpus,
        "v3_pretraining_days": lambda: duration(pretraining_hours(_v3()), _v3_gpus()),
        "v3_bf16_utilisation": lambda: utilisation(_v3(), flops(_v3()), "bf16"),
        "v3_bf16_utilisation_by_own_count": lambda: utilisation(_v3(), _v3_own_flops(), "bf16"),
        "llama_405b_gpu_hours": lambda: gpu_hours(_llama()),
        "llama_405b_training_usd_at_v3_rent": lambda: rent(
            gpu_hours(_llama()), _v3().usd_per_gpu_hour
        ),
        "llama_405b_over_v3_gpu_hours": lambda: hours_ratio(_llama(), _v3()),
        "llama_405b_over_v3_training_flops": lambda: ratio(flops(_llama()), flops(_v3())),
        "article_gpt4o_over_deepseek_training_usd": lambda: ratio(
            fact("article_gpt4o_training_usd"), fact("article_training_usd")
        ),
        "article_openai_over_deepseek_usd": lambda: ratio(
            fact("article_openai_budget_usd"), fact("article_rounded_training_usd")
        ),
    }


def _v3() -> Training:
    return trainings()["deepseek_v3"]


def _r1() -> Training:
    return trainings()["deepseek_r1"]


def _llama() -> Training:
    return trainings()["llama_3_1_405b"]


def _v3_gpus() -> Quantity:
    return looked_up(_v3().gpus, "GPUs", _v3())


def _v3_and_r1() -> Quantity:
    base = rent(gpu_hours(_v3()), _v3().usd_per_gpu_hour)
    stage = rent(gpu_hours(_r1()), _r1().usd_per_gpu_hour)
    words = f"{shown(base.value)} + {shown(stage.value)}"
    return computed(base.number + stage.number, "USD", words, base, stage)


def _v3_own_flops() -> Quantity:
    """Throughput by DeepSeek's own operations per token, attention included."""
    per_token, tokens = fact("v3_training_flops_per_token"), _v3().tokens
    assert tokens is not None
    words = f"{shown(per_token.value)} FLOP/token x {shown(tokens)} tokens"
    return computed(per_token.number * tokens, "FLOP", words, per_token, _v3())
