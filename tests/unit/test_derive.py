"""Derived figures against numbers that were worked out by hand or printed elsewhere.

A printed number is met when the computed one rounds to it.
"""

import json
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from statsmodels.stats.proportion import proportions_ztest

from harness.cli.main import main
from harness.errors import UserError
from harness.io.paths import CONF_DIR
from harness.io.sourced import Sourced
from harness.models.memory import kv_bytes, kv_bytes_per_token, kv_copies, weight_bytes
from harness.models.parameters import active_parameters, mtp_parameters, total_parameters
from harness.models.shape import Architecture, Latent
from harness.quantities import catalogue, figures, quantity
from harness.quantities.derivation import derive, ratios
from harness.quantities.figures import DEFAULT_CONTEXT, FIGURES, figure
from harness.quantities.machine import Machine, fit, tokens_per_s_ceiling
from harness.quantities.models import ceiling
from harness.quantities.prices import break_even, discount
from harness.quantities.published import (
    api_price,
    architectures,
    fact,
    find_architecture,
    machines,
    precisions,
    trainings,
)
from harness.quantities.sourced import computed, shown, worst
from harness.quantities.training import achieved_flops_per_gpu, days, rent_usd, training_flops
from harness.quantities.work import (
    attention_flops_per_token,
    flops_per_token,
    speculative_speedup,
    weight_flops_per_token,
)
from tests.facts import known, mentions

GIGA = 1e9


def prints(value: float | None, text: str) -> bool:
    """Whether a value, rounded to as many decimals as the text has, reads like the text."""
    assert value is not None
    decimals = len(text.partition(".")[2])
    return f"{value:,.{decimals}f}" == text


def arch(name: str) -> Architecture:
    return architectures()[name]


# --- one model -----------------------------------------------------------------------------------

# Parameters and bf16 weights (10^9), GFLOP of weights, cache bytes a token, cache GB at 32,768,
# GFLOP of attention at 4,096 and at 32,768.
MODELS = {
    "r1_distill_qwen_1_5b": ("1.777", "3.55", "3.09", 28_672, "0.94", "0.70", "5.6"),
    "r1_distill_qwen_7b": ("7.616", "15.23", "14.14", 57_344, "1.88", "1.64", "13.2"),
    "r1_distill_llama_8b": ("8.030", "16.06", "15.01", 131_072, "4.29", "2.15", "17.2"),
    "r1_distill_qwen_14b": ("14.770", "29.54", "27.98", 196_608, "6.44", "4.03", "32.2"),
    "r1_distill_qwen_32b": ("32.764", "65.53", "63.97", 262_144, "8.59", "5.37", "42.9"),
    "r1_distill_llama_70b": ("70.554", "141.11", "139.00", 327_680, "10.74", "10.74", "85.9"),
    "qwen2_5_72b": ("72.706", "145.41", "142.92", 327_680, "10.74", "10.74", "85.9"),
    "llama_3_1_405b": ("405.853", "811.71", "807.50", 516_096, "16.91", "33.82", "270.6"),
    "v3": ("671.026", "1,342", "73.25", 70_272, "2.30", "69.6", "556.7"),
    "v2_lite": ("15.706", "31.41", "4.90", 31_104, "1.02", None, None),
}


@pytest.mark.parametrize("name", MODELS)
def test_sizes_work_and_cache_of_each_model(name: str) -> None:
    parameters, bf16, weights, per_token, cache, at_4k, at_32k = MODELS[name]
    model = arch(name)
    assert prints(known(total_parameters(model)) / GIGA, parameters)
    assert prints(known(weight_bytes(total_parameters(model), 16)) / GIGA, bf16)
    assert prints(known(weight_flops_per_token(model)) / GIGA, weights)
    assert kv_bytes_per_token(model) == per_token
    assert prints(known(kv_bytes(model, 32_768)) / GIGA, cache)
    for context, printed in ((4_096, at_4k), (32_768, at_32k)):
        served = next(iter(known(attention_flops_per_token(model, context)).values()))
        assert printed is None or prints(served / GIGA, printed)


def test_v3_by_part() -> None:
    v3 = arch("v3")
    assert total_parameters(v3) == 671_026_419_200
    assert prints(known(active_parameters(v3)) / GIGA, "36.63")
    assert prints(known(active_parameters(v3, with_embedding=True)) / GIGA, "37.55")
    assert known(mtp_parameters(v3)) / GIGA == pytest.approx(11.5, rel=0.01)  # README_WEIGHTS
    flops = attention_flops_per_token(v3, 4_096)
    assert prints(known(flops)["expanded"] / GIGA, "20.5")
    assert prints(known(attention_flops_per_token(v3, 32_768))["expanded"] / GIGA, "163.7")
    assert prints(known(flops_per_token(v3, 32_768))["absorbed"] / GIGA, "630")
    assert prints(known(flops_per_token(arch("llama_3_1_405b"), 32_768))["gqa"] / GIGA, "1,078")


def test_v3_has_exactly_the_weights_of_its_published_files() -> None:
    """By the hub's count of each type, the block scales left out: 15,104 biases are in float32."""
    v3 = arch("v3")
    own_tables = 2 * v3.vocab * v3.hidden  # the module's copies of embedding and head
    bf16, fp8, float32 = 3_918_786_560, 680_571_043_840, 15_104
    assert (
        known(total_parameters(v3)) + known(mtp_parameters(v3)) + own_tables == bf16 + fp8 + float32
    )


def test_files_on_the_hub_are_as_large_as_computed() -> None:
    bf16 = weight_bytes(total_parameters(arch("r1_distill_qwen_7b")), 16)
    assert prints(known(bf16) / GIGA, "15.23")  # 8.61 + 6.62 GB
    q4 = precisions()["q4"].bits_per_weight
    files = {
        "r1_distill_qwen_7b": 4.68,
        "r1_distill_qwen_14b": 9.0,
        "r1_distill_llama_70b": 43,
        "v3": 404,
    }
    for name, gigabytes in files.items():
        computed_gb = known(weight_bytes(total_parameters(arch(name)), q4)) / GIGA
        assert computed_gb == pytest.approx(gigabytes, rel=0.015)


def test_a_repository_of_conf_model_finds_the_architecture_that_its_file_names() -> None:
    for file in sorted((CONF_DIR / "model").glob("*.yaml")):
        model = yaml.safe_load(file.read_text(encoding="utf-8"))
        if file.stem.startswith("r1_distill_"):
            assert find_architecture(model["hub_id"]) == arch(model["architecture"])


def test_what_is_not_published_is_unknown_and_not_zero() -> None:
    closed = arch("v3").model_copy(update={"attention": None})
    unknown = {name: each.value(closed, 100) for name, each in FIGURES.items()}
    assert unknown.pop("active_expert_fraction") == 8 / 256
    assert set(unknown.values()) == {None}
    found = derive(closed, 100)
    assert {fit for by in found.fits.values() for fit in by.values()} == {None}
    assert figure(closed, "kv_bytes").arithmetic == "DeepSeek-V3 / R1: not published"
    # A dense model has no share of experts, a grouped one no unfolded form.
    dense = figures("qwen-7b", 100)
    assert dense["active_expert_fraction"] is None
    assert dense["flops_per_token_expanded"] is None
    assert dense["mtp_parameters"] == 0


# --- named quantities ----------------------------------------------------------------------------

PRINTED = {
    # one model against another
    "dense_v3_over_v3_weight_flops": "18.3",
    "llama_3_1_405b_over_v3_weight_flops": "11.0",
    "llama_3_1_405b_over_v3_flops": "1.7",
    "llama_3_1_405b_over_v3_kv_bytes": "7.34",
    "v3_multi_head_kv_bytes_per_token": "4,997,120",
    "v3_over_llama_3_1_405b_total_parameters": "1.65",
    "v3_total_parameters": "671,026,419,200",
    "v3_active_expert_fraction": "0.03125",
    # training
    "v3_training_usd": "5,576,000",
    "v3_and_r1_training_usd": "5,870,000",
    "v3_pretraining_days": "54.2",
    "v3_bf16_utilisation": "0.346",
    "v3_bf16_utilisation_by_own_count": "0.39",
    "llama_405b_over_v3_gpu_hours": "11.06",
    "llama_405b_over_v3_training_flops": "11.1",
    "llama_405b_training_usd_at_v3_rent": "61,680,000",
    "article_gpt4o_over_deepseek_training_usd": "13.9",
    "article_openai_over_deepseek_usd": "1,000",
    # prices
    "api_r1_output_discount": "0.9635",
    "api_r1_input_discount": "0.9633",
    "api_r1_cached_input_discount": "0.9813",
    "api_r1_output_discount_against_o1_mini": "0.8175",
    "api_o1_over_r1_output_price": "27.4",
    "service_decode_nodes_usd_per_million_output": "0.300",
    "service_prefill_nodes_usd_per_million_input": "0.060",
    "service_decode_nodes_price_over_cost": "7.29",
    "service_all_nodes_usd_per_million_output": "0.52",
    "service_revenue_over_cost": "6.45",
    "r1_tokens_per_o1_token_at_95_percent": "1.37",
    "break_even_tokens_per_s_h200_against_r1": "582",
    "break_even_tokens_per_s_h200_against_o1": "21",
    # drafting
    "mtp_speedup_low_acceptance_free_draft": "1.85",
    "mtp_speedup_high_acceptance_free_draft": "1.90",
    "mtp_speedup_low_acceptance_paid_draft": "1.74",
    "mtp_speedup_high_acceptance_paid_draft": "1.78",
    # memory and ceilings at 4,000 tokens
    "r1_distill_qwen_1_5b_weight_bytes_q4": "1,077,359,600",
    "r1_distill_qwen_14b_q4_tokens_per_s_on_home_pc": "9.7",
    "v3_q4_tokens_per_s_on_home_pc_if_it_fit": "4.0",
    # scores
    "o1_math500_low": "94.4",
    "o1_math500_high": "97.7",
    "r1_math500_low": "95.5",
    "r1_math500_high": "98.4",
    "r1_against_o1_math500_p_value": "0.42",
    "r1_against_o1_aime_2024_p_value": "0.95",
    "r1_against_o1_swe_verified_p_value": "0.92",
    "r1_against_o1_mmlu_p_value": "0.003",
    "r1_against_o1_gpqa_diamond_p_value": "0.34",
    "r1_against_o1_aider_p_value": "0.07",
    "r1_benchmarks_ahead_of_o1": "5",
    "r1_share_of_benchmarks_ahead_of_gpt_4o": "0.90",  # 18 of 20
    "v3_share_of_benchmarks_ahead_of_claude_3_5_sonnet": "0.714",  # 15 of 21
    "v3_share_of_benchmarks_ahead_of_grok_2": "1",  # 3 of 3
    "r1_benchmarks_compared_with_o1": "10",
    "llama_3_1_405b_over_v3_decode_attention_s": "7.3",
}


@pytest.mark.parametrize("name", PRINTED)
def test_quantities_round_to_what_is_printed(name: str) -> None:
    assert prints(quantity(name).value, PRINTED[name])


# One model's figure over another's, as the command prints it.
RATIOS = {
    ("qwen2_5_72b", "v3", "weight_flops_per_token"): "1.95",
    ("qwen2_5_72b", "v3", "kv_bytes_per_token"): "4.66",
    ("r1_distill_qwen_1_5b", "v3", "kv_bytes_per_token"): "0.41",
    ("r1_distill_qwen_7b", "v3", "kv_bytes_per_token"): "0.82",
    ("r1_distill_qwen_32b", "v3", "weight_flops_per_token"): "0.87",
    ("r1_distill_qwen_32b", "v3", "kv_bytes_per_token"): "3.73",
    ("r1_distill_llama_70b", "v3", "weight_flops_per_token"): "1.90",
    ("qwen2_5_14b", "v2_lite", "weight_flops_per_token"): "5.7",
    ("qwen2_5_14b", "v2_lite", "kv_bytes_per_token"): "6.3",
}


@pytest.mark.parametrize(("this", "other", "figure"), RATIOS)
def test_ratios_of_two_models_round_to_what_is_printed(this: str, other: str, figure: str) -> None:
    found = ratios(arch(this), arch(other), DEFAULT_CONTEXT)
    assert prints(found[figure], RATIOS[this, other, figure])


# Tokens/s of one sequence with 4,000 tokens in the cache, on one device.
CEILINGS = {
    ("r1_distill_qwen_1_5b", "home_pc", "q4"): "85",
    ("r1_distill_qwen_7b", "home_pc", "q4"): "19.8",
    ("r1_distill_llama_8b", "home_pc", "q4"): "17.7",
    ("r1_distill_qwen_32b", "home_pc", "q4"): "4.4",
    ("r1_distill_llama_70b", "home_pc", "q4"): "2.1",
    ("r1_distill_qwen_7b", "rtx4090", "q4"): "223",
    ("r1_distill_llama_8b", "rtx4090", "q4"): "199",
    ("r1_distill_qwen_14b", "rtx4090", "q4"): "109",
    ("r1_distill_qwen_32b", "rtx4090", "q4"): "49",
    ("r1_distill_qwen_1_5b", "h200", "bf16"): "1,499",
    ("r1_distill_qwen_7b", "h200", "bf16"): "334",
    ("r1_distill_llama_8b", "h200", "bf16"): "309",
    ("r1_distill_qwen_14b", "h200", "bf16"): "167",
    ("r1_distill_qwen_32b", "h200", "bf16"): "74",
}


@pytest.mark.parametrize(("model", "machine", "precision"), CEILINGS)
def test_ceilings_round_to_what_is_printed(model: str, machine: str, precision: str) -> None:
    printed = CEILINGS[model, machine, precision]
    assert prints(ceiling(model, machine, precision).value, printed)


def test_caches_of_v3_with_another_attention() -> None:
    others = derive(arch("v3"), 4_096).kv_bytes_per_token_with_other_attention
    assert others == {"multi_head": 4_997_120, "multi_head_128": 3_997_696, "gqa_8": 249_856}
    for name, printed in {"multi_head": "71.1", "multi_head_128": "56.9", "gqa_8": "3.56"}.items():
        assert prints(known(others[name]) / known(kv_bytes_per_token(arch("v3"))), printed)


def test_what_a_training_took() -> None:
    v3 = derive(arch("v3"), 4_096).training["deepseek_v3"]
    llama = derive(arch("llama_3_1_405b"), 4_096).training["llama_3_1_405b"]
    assert v3.usd_by_rent == {"1.5": 4_182_000, "2": 5_576_000, "3": 8_364_000, "4": 11_152_000}
    assert prints(v3.days, "56.7")
    assert prints(v3.utilisation["fp8"], "0.173")
    assert v3.flops == pytest.approx(3.29e24, rel=2e-3)
    assert llama.flops == pytest.approx(3.65e25, rel=2e-3)
    assert known(v3.flops_per_s_per_gpu) / 1e12 == pytest.approx(343, abs=0.5)
    for each in (v3, llama):
        assert 0 < known(each.utilisation["bf16"]) < 1, "not above the peak of its machine"
    r1 = trainings()["deepseek_r1"]
    assert rent_usd(r1.gpu_hours, r1.usd_per_gpu_hour) == 294_000
    whole, last = v3.gpu_hours, trainings()["deepseek_v3"].stages[-1].gpu_hours
    assert known(rent_usd(whole - last, v3.usd_per_gpu_hour)) + 294_000 == 5_860_000


def test_published_figures_agree_with_each_other() -> None:
    """What a document prints twice follows from what it prints besides."""

    def number(name: str) -> float:
        return fact(name).number

    node = number("service_gpus_per_node") * number("service_usd_per_gpu_hour")
    cost = number("service_average_nodes") * node * number("service_hours")
    assert prints(cost, "87,072")
    assert cost == number("service_cost_usd")
    tokens, cached, output = (
        number(f"service_{kind}_tokens") for kind in ("input", "cached_input", "output")
    )
    price = api_price("api_deepseek_r1")
    revenue = (
        (tokens - cached) * price.input_usd_per_million_tokens
        + cached * known(price.cached_input_usd_per_million_tokens)
        + output * price.output_usd_per_million_tokens
    ) / 1e6
    assert prints(revenue, "562,100")
    assert prints(number("service_revenue_usd") / cost - 1, "5.45")
    assert prints(number("r1_stage_gpus") * number("r1_zero_hours"), "101,376")
    assert prints(quantity("v3_gpu_hours").number / number("deepseek_fleet_gpus"), "55.8")
    trillions = known(trainings()["deepseek_v3"].tokens) / 1e12
    assert prints(quantity("v3_pretraining_days").number / trillions, "3.66")
    budget = number("article_openai_budget_usd")
    assert prints(budget / quantity("v3_training_usd").number, "897")


@pytest.mark.parametrize(("machine", "printed"), [("h100", "506"), ("a100", "227")])
def test_break_even_of_other_machines(machine: str, printed: str) -> None:
    assert prints(break_even(machine, "r1").value, printed)


def test_quantities_too_large_to_write_out() -> None:
    own = quantity("v3_bf16_utilisation_by_own_count")
    peak = machines()["h800"].peak_flops["bf16"]
    assert own.number * known(peak) / 1e12 == pytest.approx(386, abs=0.5)
    assert known(quantity("nvidia_loss_at_article_fall_usd").value) / GIGA == pytest.approx(
        273, abs=0.5
    )


def test_what_does_not_fit_has_no_speed_and_says_why() -> None:
    for model, machine, precision in (
        ("v3", "home_pc", "q4"),
        ("r1_distill_llama_70b", "rtx4090", "q4"),
        ("r1_distill_llama_70b", "h200", "bf16"),
    ):
        found = ceiling(model, machine, precision)
        assert found.value is None
        assert "fit" in found.arithmetic


def test_every_quantity_says_how_and_from_what() -> None:
    for name in catalogue():
        found = quantity(name)
        assert found.sources, name
        assert found.unit, name
        assert found.arithmetic, name
        if found.value is not None and found.grade != "P":
            assert f"{shown(found.value)} {found.unit}" in found.arithmetic
        assert found.unverified == any("unverified" in source for source in found.sources), name


def test_the_worst_input_decides_the_grade() -> None:
    assert quantity("r1_output_usd_per_million").grade == "P"  # looked up
    assert quantity("v3_training_usd").grade == "D"  # computed from P
    assert quantity("api_r1_output_discount").grade == "S"  # o1's price
    assert quantity("api_r1_output_discount_against_o1_mini").grade == "M"
    gpt_4o = discount(quantity("r1_output_usd_per_million"), fact("gpt_4o_output_usd_per_million"))
    assert (gpt_4o.grade, prints(gpt_4o.value, "0.781")) == ("M", True)
    assert worst(["D", "P"]) == "D"
    assert worst(["S", "M", "P"]) == "M"
    doubtful = Sourced(source="somebody", date="2025-01", grade="M")
    assert computed(1.0, "USD", "1", doubtful).unverified


def test_an_unknown_quantity_is_named_with_its_neighbours() -> None:
    with pytest.raises(UserError, match=r"quantity=v3_trainig_usd .*v3_training_usd\b"):
        quantity("v3_trainig_usd")


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.85, 0.999])
@pytest.mark.parametrize("drafts", [1, 2, 5])
def test_speculation_by_its_closed_form(acceptance: float, drafts: int) -> None:
    closed = (1 - acceptance ** (drafts + 1)) / ((1 - acceptance) * (drafts * 0.03 + 1))
    assert speculative_speedup(acceptance, 0.03, drafts) == pytest.approx(closed)


def test_speculation_at_its_ends() -> None:
    assert speculative_speedup(1.0, 0.0, 3) == 4
    assert speculative_speedup(0.9, 0.0, 0) == 1
    assert prints(speculative_speedup(0.85, 0.03), "1.80")
    with pytest.raises(ValueError, match=r"acceptance=1\.1 must be 0 to 1"):
        speculative_speedup(1.1)


def test_a_batch_shares_the_weights_and_not_the_cache() -> None:
    model, bf16 = arch("r1_distill_qwen_7b"), precisions()["bf16"]
    weights, cache = 2 * known(active_parameters(model)), kv_bytes(model, 1_000)
    found = tokens_per_s_ceiling(model, bf16, 1e12, 1_000, batch=64)
    assert found == pytest.approx(64 * 1e12 / (weights + 64 * known(cache)))


def test_fp8_weights_of_v3_need_eight_h200() -> None:
    v3, fp8 = arch("v3"), precisions()["fp8"]
    h200 = fit(v3, fp8, machines()["h200"], 32_768)
    h100 = fit(v3, fp8, machines()["h100"], 32_768)
    assert known(h200).devices == 8
    assert known(h200).memory_bytes == 1_128e9
    assert known(h100).devices is None
    assert known(h100).memory_bytes == 640e9
    assert (
        known(h100).kv_tokens_tensor_parallel == known(h100).kv_tokens_data_parallel_attention == 0
    )


def test_room_for_the_cache_by_the_way_of_serving() -> None:
    """Worked out by hand: eight H200 hold 1,128 GB; a token leaves 70,272 bytes, a latent one."""
    h200 = fit(arch("v3"), precisions()["fp8"], machines()["h200"], 32_768)
    room = 1_128_000_000_000 - 671_026_419_200
    assert known(h200).kv_tokens_data_parallel_attention == room // 70_272 == 6_502_925
    assert known(h200).kv_tokens_tensor_parallel == room // 8 // 70_272 == 812_865


@pytest.mark.parametrize(
    ("name", "devices", "copies"),
    [
        ("v3", 1, 1),
        ("v3", 8, 8),
        ("r1_distill_llama_70b", 8, 1),  # eight groups of keys and values: one for each
        ("r1_distill_qwen_7b", 4, 1),
        ("r1_distill_qwen_7b", 8, 2),  # four groups on eight devices
    ],
)
def test_a_cache_is_split_as_far_as_its_heads_go_round(
    name: str, devices: int, copies: int
) -> None:
    assert kv_copies(arch(name), devices) == copies


def test_a_memory_that_is_nearly_full_is_called_tight() -> None:
    model, bf16 = arch("r1_distill_qwen_32b"), precisions()["bf16"]
    one = fit(model, bf16, machines()["h100"], 32_768)
    assert (known(one).devices, known(one).tight) == (1, True)
    assert known(fit(model, bf16, machines()["h200"], 32_768)).tight is False
    # What is left holds the cache of all sequences together.
    room = (80_000_000_000 - 2 * known(total_parameters(model))) // 262_144
    assert (
        known(one).kv_tokens_tensor_parallel == known(one).kv_tokens_data_parallel_attention == room
    )


@pytest.mark.parametrize(
    ("bench", "this", "other", "problems", "z"),
    [
        ("drop", 0.922, 0.902, 9_536, 4.87),
        ("mmlu", 0.908, 0.918, 14_042, -2.97),
        ("simpleqa", 0.301, 0.470, 4_326, -16.1),
    ],
)
def test_two_published_scores_are_tested_as_two_proportions(
    bench: str, this: float, other: float, problems: int, z: float
) -> None:
    """By statsmodels, from counts; far out the tail must not vanish."""
    counts = [this * problems, other * problems]
    expected_z, expected_p = proportions_ztest(counts, [problems, problems])
    found = quantity(f"r1_against_o1_{bench}_p_value")
    assert expected_z == pytest.approx(z, abs=0.05)
    assert found.number == pytest.approx(expected_p, rel=1e-6)
    assert found.number > 0


def test_a_benchmark_counts_once() -> None:
    text = quantity("r1_benchmarks_compared_with_o1").arithmetic
    assert text.count("codeforces") == 1
    assert "of 20 benchmarks" in quantity("v3_share_of_benchmarks_ahead_of_gpt_4o").arithmetic


def test_attention_in_decoding_waits_for_the_cache() -> None:
    """32,768 tokens at 3.35 TB/s and 989.4 TFLOP/s, in milliseconds."""
    h800 = machines()["h800"]
    for model, read_ms, compute_ms in (("v3", 0.69, 0.56), ("llama_3_1_405b", 5.05, 0.27)):
        read = 1e3 * known(kv_bytes(arch(model), 32_768)) / h800.bandwidth
        served = next(iter(known(attention_flops_per_token(arch(model), 32_768)).values()))
        assert read == pytest.approx(read_ms, abs=0.005)
        assert 1e3 * served / known(h800.peak_flops["bf16"]) == pytest.approx(compute_ms, abs=0.005)
        found = quantity(f"{model}_decode_attention_s_per_token_on_h800")
        assert 1e3 * found.number == pytest.approx(read)


def test_costs_of_a_service_say_which_nodes_they_count() -> None:
    for name in (
        "service_decode_nodes_usd_per_million_output",
        "service_all_nodes_usd_per_million_output",
    ):
        assert "nodes" in quantity(name).arithmetic
    assert quantity("service_revenue_over_cost").number == pytest.approx(562_027 / 87_072)
    all_in = quantity("service_all_nodes_usd_per_million_output").number
    assert all_in == pytest.approx(87_072 / 168_000)


def test_hours_say_what_they_cover() -> None:
    words = quantity("llama_405b_over_v3_gpu_hours").arithmetic
    for name in ("llama_3_1_405b", "deepseek_v3"):
        assert trainings()[name].hours_cover in words


def test_money_and_time_without_a_price_or_a_cluster_are_unknown() -> None:
    assert rent_usd(100, None) is None
    assert days(100, None) is None
    assert training_flops(None, 1.0) is None
    assert training_flops(2.0, 3.0) == 36
    assert achieved_flops_per_gpu(7200.0, 2.0) == 1
    assert achieved_flops_per_gpu(None, 2.0) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "unknown"),
        (0.0, "0"),
        (142.62, "142.62"),
        (0.9633333, "0.9633"),
        (671_026_419_200, "671,026,419,200"),
        (1234.5, "1,234"),
        (3.2856e24, "3.286e+24"),
    ],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert shown(value) == text


# --- the data ------------------------------------------------------------------------------------


def test_each_name_means_one_architecture() -> None:
    for each in architectures().values():
        for name in (each.name, each.title, *each.aliases):
            assert find_architecture(name).name == each.name


def test_what_the_data_names_exists() -> None:
    for each in architectures().values():
        assert set(each.training) <= set(trainings())
        assert set(each.quantities) <= set(catalogue())
        assert each.native_precision in precisions()
    for training in trainings().values():
        assert training.machine in machines()
    assert api_price("api_deepseek_r1").output_usd_per_million_tokens == 2.19


LATENT = {
    "kind": "mla",
    "heads": 4,
    "query_rank": None,
    "kv_rank": 8,
    "nope_dim": 8,
    "rope_dim": 4,
    "value_dim": 8,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "greater than or equal to 1"),
        ({"colour": "red"}, "Extra inputs"),
        ({"attention": {"kind": "gqa", "heads": 6, "kv_heads": 4, "head_dim": 8}}, "not divide"),
        ({"attention": {"kind": "mha", "heads": 6, "kv_heads": 2, "head_dim": 8}}, "kv_heads=6"),
        ({"attention": {**LATENT, "kind": "linear"}}, "kind"),
        ({"source": ""}, "at least 1 character"),
        ({"grade": "X"}, "'P', 'S', 'M' or 'D'"),
        (
            {
                "experts": {
                    "routed": 4,
                    "shared": 0,
                    "active": 5,
                    "ffn": 8,
                    "dense_layers": 0,
                    "router_bias": False,
                }
            },
            "active=5 .*routed=4",
        ),
    ],
)
def test_a_wrong_architecture_is_refused(change: dict[str, object], message: str) -> None:
    right = arch("v2_lite").model_dump()
    assert Architecture.model_validate(right).attention == Latent.model_validate(right["attention"])
    with pytest.raises(ValidationError, match=message):
        Architecture.model_validate(right | change)


def test_a_machine_says_its_bandwidth_once() -> None:
    right = machines()["home_pc"].model_dump()
    assert machines()["home_pc"].bandwidth == 89.6e9
    for change in ({"bandwidth_bytes_per_s": 1.0}, {"memory_channels": None}):
        with pytest.raises(ValidationError, match="bandwidth_bytes_per_s"):
            Machine.model_validate(right | change)


# --- the command ---------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["derive", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.parametrize(
    "name",
    ["V3", "v3", "deepseek-v3", "R1", "DeepSeek-R1", "deepseek-ai/DeepSeek-R1", "deepseek_v3"],
)
def test_a_model_is_found_however_it_is_written(name: str) -> None:
    assert find_architecture(name).name == "v3"


def test_json_has_every_figure_in_plain_units(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "V3", "--against", "llama-3.1-405b", "--json")
    found: dict[str, Any] = json.loads(out)
    assert (status, err) == (0, "")
    assert found["total_parameters"] == 671_026_419_200
    assert found["active_parameters"] == 36_625_618_432
    assert found["weight_flops_per_token"] == 73_249_193_984
    assert found["attention_flops_per_token"]["absorbed"] == 556_735_135_744
    assert found["kv_bytes_per_token"] == 70_272
    assert found["kv_bytes"] == 70_272 * 32_768
    assert found["weight_bytes"]["fp8"] == 671_026_419_200
    assert found["fits"]["h100"]["fp8"]["devices"] is None
    assert found["tokens_per_s_ceiling"]["h100"]["fp8"] is None
    assert found["tokens_per_s_ceiling"]["h200"]["fp8"] == pytest.approx(986.4, abs=0.1)
    room = found["fits"]["h200"]["fp8"]
    assert room["kv_tokens_data_parallel_attention"] // room["kv_tokens_tensor_parallel"] == 8
    assert found["native_precision"] == "fp8"
    assert found["training"]["deepseek_v3"]["usd"] == 5_576_000
    assert found["training"]["deepseek_v3"]["hours_cover"] == trainings()["deepseek_v3"].hours_cover
    assert found["training"]["deepseek_v3"]["usd_by_rent"]["3"] == 8_364_000
    assert found["quantities"]["api_r1_output_discount"]["value"] == pytest.approx(0.9635)
    assert found["against"]["model"] == "llama_3_1_405b"
    assert 1 / found["ratios"]["kv_bytes_per_token"] == pytest.approx(7.344, abs=0.001)
    assert found["ratios"]["attention_flops_per_token_expanded"] is None


def test_the_tables_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "R1", "--against", "405b", "--context", "4096")
    assert (status, err) == (0, "")
    for part in (
        "671,026,419,200",
        "73.25 GFLOP",
        "69.59 GFLOP",
        "70,272 bytes",
        "1/7.34",
        "narrowly",
        "tensor parallel",
        "data-parallel attention",
        trainings()["llama_3_1_405b"].hours_cover,
        "5,576,000 USD",
        "api_r1_output_discount_against_o1_mini (unverified)",
        "grade M, unverified",
    ):
        assert part in out
    assert "api_r1_output_discount (unverified)" not in out
    assert "note:" not in out


def test_a_context_beyond_the_models_own_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "v2-lite", "--context", "40000")
    assert status == 0
    assert mentions(out, "note: DeepSeek-V2-Lite ", "32,768 tokens", "40,000")
    _, out, _ = run(capsys, "v2-lite", "--context", "32768", "--json")
    assert json.loads(out)["notes"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("v33",), "MODEL=v33 … v3? … llama_3_1_405b,"),
        (("v3", "--against", "x"), "--against=x … llama_3_1_405b,"),
        (("v3", "--against", "r1"), "--against=r1 … MODEL=v3;"),
        (("v3", "--context", "0"), "--context=0 … 1 token"),
        (("v3", "--context", "many"), "--context: … 'many'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert mentions(err, message)
