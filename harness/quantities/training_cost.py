"""Quantities of training: GPU-hours, money, days and plausibility, and their ratios."""

from collections.abc import Callable, Mapping
from functools import partial

from harness.quantities.figures import figure
from harness.quantities.published import architectures, fact, machines, trainings
from harness.quantities.sourced import Quantity, computed, looked_up, ratio, shown
from harness.quantities.training import (
    RENTS_USD_PER_HOUR,
    Training,
    achieved_flops_per_gpu,
    days,
    rent_usd,
    training_flops,
)

_TRILLION = 1e12


def gpu_hours(training: Training, *, without_last: bool = False) -> Quantity:
    """Of all stages, or of all but the last."""
    stages = training.stages[:-1] if without_last else training.stages
    words = " + ".join(f"{shown(stage.gpu_hours)} {stage.name}" for stage in stages)
    return computed(sum(stage.gpu_hours for stage in stages), "GPU-hours", words, training)


def hours_ratio(this: Training, other: Training) -> Quantity:
    """GPU-hours of one training over another's, with what each source counts."""
    mine, theirs = gpu_hours(this), gpu_hours(other)
    words = " / ".join(
        f"{shown(hours.value)} GPU-hours ({training.title}: {training.hours_cover})"
        for hours, training in ((mine, this), (theirs, other))
    )
    return computed(mine.number / theirs.number, "times", words, mine, theirs)


def rent(hours: Quantity, usd_per_gpu_hour: float | None) -> Quantity:
    """What GPU-hours cost at a price."""
    words = f"{shown(hours.value)} GPU-hours x {shown(usd_per_gpu_hour)} USD/h"
    value = rent_usd(hours.number, usd_per_gpu_hour)
    return computed(value, "USD", words, hours)


def pretraining_hours(training: Training) -> Quantity:
    """Of the first stage."""
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
    """Days that GPU-hours take on so many GPUs."""
    value = days(hours.number, gpus.value)
    words = f"{shown(hours.value)} GPU-hours / {shown(gpus.value)} GPUs / 24 h"
    return computed(value, "days", words, hours, gpus)


def training_quantities() -> Mapping[str, Callable[[], Quantity]]:
    """By name."""
    return {
        "v3_gpu_hours": lambda: gpu_hours(_v3()),
        "v3_pretraining_gpu_hours": lambda: pretraining_hours(_v3()),
        "v3_training_usd": lambda: rent(gpu_hours(_v3()), _v3().usd_per_gpu_hour),
        **{
            f"v3_training_usd_at_{price:g}_usd_per_hour".replace(".", "_"): partial(_at, price)
            for price in RENTS_USD_PER_HOUR
        },
        "r1_stage_gpu_hours": lambda: gpu_hours(_r1()),
        "r1_stage_usd": lambda: rent(gpu_hours(_r1()), _r1().usd_per_gpu_hour),
        "v3_and_r1_training_usd": lambda: _v3_and_r1(without_post_training=False),
        "v3_base_and_r1_training_usd": lambda: _v3_and_r1(without_post_training=True),
        "r1_zero_gpu_hours": lambda: _wall_hours("r1_zero_hours"),
        "r1_rl_gpu_hours": lambda: _wall_hours("r1_rl_hours"),
        "v3_training_gpus": _v3_gpus,
        "v3_pretraining_days": lambda: duration(pretraining_hours(_v3()), _v3_gpus()),
        "v3_training_days": lambda: duration(gpu_hours(_v3()), _v3_gpus()),
        "v3_pretraining_days_per_trillion_tokens": _days_per_trillion,
        "v3_training_hours_on_claimed_fleet": _hours_on_fleet,
        "v3_training_flops": lambda: flops(_v3()),
        "v3_achieved_flops_per_gpu": lambda: achieved(_v3(), flops(_v3())),
        "v3_bf16_utilisation": lambda: utilisation(_v3(), flops(_v3()), "bf16"),
        "v3_fp8_utilisation": lambda: utilisation(_v3(), flops(_v3()), "fp8"),
        "v3_achieved_flops_per_gpu_by_own_count": lambda: achieved(_v3(), _v3_own_flops()),
        "v3_bf16_utilisation_by_own_count": lambda: utilisation(_v3(), _v3_own_flops(), "bf16"),
        "llama_405b_gpu_hours": lambda: gpu_hours(_llama()),
        "llama_405b_training_flops": lambda: flops(_llama()),
        "llama_405b_bf16_utilisation": lambda: utilisation(_llama(), flops(_llama()), "bf16"),
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
        "article_openai_over_v3_training_usd": lambda: ratio(
            fact("article_openai_budget_usd"), rent(gpu_hours(_v3()), _v3().usd_per_gpu_hour)
        ),
        "gpt4_over_v3_training_usd": lambda: ratio(
            fact("gpt4_training_usd"), rent(gpu_hours(_v3()), _v3().usd_per_gpu_hour)
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


def _at(usd_per_gpu_hour: float) -> Quantity:
    return rent(gpu_hours(_v3()), usd_per_gpu_hour)


def _v3_and_r1(*, without_post_training: bool) -> Quantity:
    hours = gpu_hours(_v3(), without_last=without_post_training)
    base = rent(hours, _v3().usd_per_gpu_hour)
    stage = rent(gpu_hours(_r1()), _r1().usd_per_gpu_hour)
    words = f"{shown(base.value)} + {shown(stage.value)}"
    return computed(base.number + stage.number, "USD", words, base, stage)


def _wall_hours(name: str) -> Quantity:
    gpus, hours = fact("r1_stage_gpus"), fact(name)
    words = f"{shown(gpus.value)} GPUs x {shown(hours.value)} h"
    return computed(gpus.number * hours.number, "GPU-hours", words, gpus, hours)


def _days_per_trillion() -> Quantity:
    whole = duration(pretraining_hours(_v3()), _v3_gpus())
    tokens = _v3().tokens
    assert tokens is not None
    words = f"{shown(whole.value)} days / {shown(tokens / _TRILLION)} trillion tokens"
    return computed(whole.number / (tokens / _TRILLION), "days", words, whole)


def _hours_on_fleet() -> Quantity:
    hours, fleet = gpu_hours(_v3()), fact("deepseek_fleet_gpus")
    words = f"{shown(hours.value)} GPU-hours / {shown(fleet.value)} GPUs"
    return computed(hours.number / fleet.number, "h", words, hours, fleet)


def _v3_own_flops() -> Quantity:
    """By DeepSeek's own operations per token, attention included."""
    per_token, tokens = fact("v3_training_flops_per_token"), _v3().tokens
    assert tokens is not None
    words = f"{shown(per_token.value)} FLOP/token x {shown(tokens)} tokens"
    return computed(per_token.number * tokens, "FLOP", words, per_token, _v3())
