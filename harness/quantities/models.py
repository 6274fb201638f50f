"""Quantities of models: sizes and work set against each other, memory, ceilings, drafting."""

from collections.abc import Callable, Mapping
from functools import partial

from harness.models.memory import kv_bytes, weight_bytes
from harness.models.parameters import active_parameters, total_parameters
from harness.quantities.figures import FIGURES, figure
from harness.quantities.machine import tokens_per_s_ceiling
from harness.quantities.other_attention import multi_head
from harness.quantities.published import architectures, fact, machines, precisions
from harness.quantities.sourced import Quantity, computed, ratio, shown
from harness.quantities.work import speculative_speedup

CEILING_CONTEXT = 4_000
"""Tokens in the cache of the ceilings: a problem with a short line of thought."""
_COMPARED = {
    "weight_flops": "weight_flops_per_token",
    "flops": "flops_per_token",
    "kv_bytes": "kv_bytes_per_token",
}
_FP8_GPUS = 8
_ATTENTION_TIMED = ("v3", "llama_3_1_405b")


def ceiling(model: str, machine: str, precision: str, *, if_it_fit: bool = False) -> Quantity:
    """Tokens/s that one device cannot exceed for one sequence; None where it does not fit.

    Args:
        model: An architecture's name.
        machine: A machine's name.
        precision: Of the weights.
        if_it_fit: Compute it also for a model that the memory cannot hold.
    """
    architecture, device = architectures()[model], machines()[machine]
    width = precisions()[precision]
    weights = weight_bytes(active_parameters(architecture), width.bits_per_weight)
    cache = kv_bytes(architecture, CEILING_CONTEXT)
    stored = weight_bytes(total_parameters(architecture), width.bits_per_weight)
    inputs = (architecture, device, width)
    if not if_it_fit and stored is not None and stored > device.memory_bytes:
        words = f"{shown(stored)} bytes do not fit into {shown(device.memory_bytes)}"
        return computed(None, "tokens/s", words, *inputs)
    return computed(
        tokens_per_s_ceiling(architecture, width, device.bandwidth, CEILING_CONTEXT),
        "tokens/s",
        f"{shown(device.bandwidth)} bytes/s / ({shown(weights)} bytes of active weights + "
        f"{shown(cache)} bytes of cache at {CEILING_CONTEXT:,} tokens)",
        *inputs,
    )


def model_quantities() -> Mapping[str, Callable[[], Quantity]]:
    """Quantities of the models, by name."""
    return {
        **{
            f"{model}_{name}": partial(_figure, model, name)
            for model in architectures()
            for name in FIGURES
        },
        **{
            f"llama_3_1_405b_over_v3_{short}": partial(_over, "llama_3_1_405b", "v3", name)
            for short, name in _COMPARED.items()
        },
        "v3_over_llama_3_1_405b_total_parameters": partial(
            _over, "v3", "llama_3_1_405b", "total_parameters"
        ),
        "dense_v3_weight_flops_per_token": _dense_flops,
        "dense_v3_over_v3_weight_flops": lambda: ratio(
            _dense_flops(), _figure("v3", "weight_flops_per_token")
        ),
        "v3_multi_head_kv_bytes_per_token": lambda: figure(
            multi_head(architectures()["v3"]), "kv_bytes_per_token"
        ),
        "r1_distill_qwen_14b_q4_tokens_per_s_on_home_pc": lambda: ceiling(
            "r1_distill_qwen_14b", "home_pc", "q4"
        ),
        "v3_q4_tokens_per_s_on_home_pc_if_it_fit": lambda: ceiling(
            "v3", "home_pc", "q4", if_it_fit=True
        ),
        **{
            f"{model}_decode_attention_s_per_token_on_h800": partial(_attention_time, model)
            for model in _ATTENTION_TIMED
        },
        "llama_3_1_405b_over_v3_decode_attention_s": lambda: ratio(
            _attention_time("llama_3_1_405b"), _attention_time("v3")
        ),
        "v3_fp8_over_8_h100_memory": partial(_memory_share, "h100"),
        "v3_fp8_over_8_h200_memory": partial(_memory_share, "h200"),
        **{
            f"mtp_speedup_{acceptance}_acceptance_{cost}": partial(_speedup, acceptance, cost)
            for acceptance in ("low", "high")
            for cost in ("free_draft", "paid_draft")
        },
    }


def _figure(model: str, name: str) -> Quantity:
    return figure(architectures()[model], name)


def _over(other: str, model: str, name: str) -> Quantity:
    return ratio(_figure(other, name), _figure(model, name))


def _dense_flops() -> Quantity:
    """Operations of a dense model of V3's size; the usual rule counts the embedding too."""
    size = _figure("v3", "total_parameters")
    words = f"2 x {shown(size.value)} parameters"
    return computed(2 * size.number, "FLOP", words, size)


def _memory_share(machine: str) -> Quantity:
    """Share of the memory that the weights take; above 1 they do not fit."""
    weights, device = _figure("v3", "weight_bytes_fp8"), machines()[machine]
    memory = _FP8_GPUS * device.memory_bytes
    return computed(
        weights.number / memory,
        "of the memory",
        f"{shown(weights.value)} bytes / ({_FP8_GPUS} x {shown(device.memory_bytes)} bytes)",
        weights,
        device,
    )


def _attention_time(model: str) -> Quantity:
    """Least time that attention takes for one token after 32,768 others, on one device.

    A batch shares the weights and not the cache, so the cache is read for every token. Reading and
    computing overlap: the slower of the two decides.
    """
    device = machines()["h800"]
    read, work = _figure(model, "kv_bytes"), _figure(model, "attention_flops_per_token")
    peak = device.peak_flops["bf16"]
    assert peak is not None, "published"
    return computed(
        max(read.number / device.bandwidth, work.number / peak),
        "s",
        f"the larger of {shown(read.value)} bytes / {shown(device.bandwidth)} bytes/s and "
        f"{shown(work.value)} FLOP / {shown(peak)} FLOP/s",
        read,
        work,
        device,
    )


def _draft_cost() -> Quantity:
    """Taken as the share of weights that a draft uses: decoding is bound by reading them."""
    return ratio(fact("mtp_active_parameters_stated"), fact("v3_active_parameters_stated"))


def _speedup(acceptance: str, cost: str) -> Quantity:
    accepted = fact(f"mtp_acceptance_{acceptance}")
    if cost == "free_draft":
        words = f"1 + {shown(accepted.value)}, a draft costing nothing"
        return computed(speculative_speedup(accepted.number), "times", words, accepted)
    draft = _draft_cost()
    words = f"(1 + {shown(accepted.value)}) / (1 + {shown(draft.value)})"
    speedup = speculative_speedup(accepted.number, draft.number)
    return computed(speedup, "times", words, accepted, draft)
