"""Prices against worked numbers that were published or computed by hand."""

from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from harness.config.pricing import ApiPrice, OwnedPrice, Pricing, RentedPrice
from harness.io.paths import CONF_DIR
from harness.metrics.cost import (
    Usage,
    apportion,
    break_even_tokens_per_s,
    cost_per_solved,
    hourly_rent,
    load_cost,
    request_weight,
    total_cost,
)
from tests.engines import made_up_engine
from tests.facts import known, mentions

WHERE = {"source": "a price list", "date": "2026-10-07", "grade": "S"}
R1 = ApiPrice(
    input_usd_per_million_tokens=0.55,
    cached_input_usd_per_million_tokens=0.14,
    output_usd_per_million_tokens=2.19,
    **WHERE,
)


def _usage(**changes: Any) -> Usage:
    fields: dict[str, Any] = {
        "device": "cuda",
        "device_count": 1,
        "generation_s": 3600.0,
        "prompt_tokens": 0,
        "completion_tokens": 3_600_000,
    }
    return Usage(**(fields | changes))


def _rented(usd_per_hour: float = 4.59, unit: str = "gpu", **changes: Any) -> Pricing:
    price = RentedPrice(usd_per_hour=usd_per_hour, unit=unit, **(WHERE | changes))
    return Pricing(name="test", rented=price)


def _owned(**fields: Any) -> Pricing:
    return Pricing(name="test", owned=OwnedPrice(**(WHERE | fields)))


def _per_million(usd_per_hour: float, tokens_per_s: float) -> float:
    """Dollars per million output tokens of an hour at this rent and throughput."""
    usage = _usage(completion_tokens=round(3600 * tokens_per_s))
    usd = total_cost(_rented(usd_per_hour), "rented", usage).usd
    assert usd is not None
    return usd / known(usage.completion_tokens) * 1e6


# --- worked numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens_per_s", "usd"), [(500, 2.55), (1000, 1.275), (5000, 0.255), (10_000, 0.1275)]
)
def test_usd_per_million_output_tokens_of_an_h200(tokens_per_s: float, usd: float) -> None:
    assert _per_million(4.59, tokens_per_s) == pytest.approx(usd)


def test_deepseeks_own_throughput_and_rent_give_30_cents() -> None:
    assert _per_million(2.0, 1850) == pytest.approx(0.30, abs=0.005)


@pytest.mark.parametrize(
    ("usd_per_hour", "api", "tokens_per_s"),
    [
        (4.59, 2.19, 582),
        (3.99, 2.19, 506),
        (1.79, 2.19, 227),
        (0.94, 2.19, 119),
        (0.29, 2.19, 37),
        (4.59, 60, 21),
    ],
)
def test_break_even_throughput(usd_per_hour: float, api: float, tokens_per_s: float) -> None:
    assert break_even_tokens_per_s(usd_per_hour, api) == pytest.approx(tokens_per_s, abs=0.5)


def test_break_even_is_where_both_cost_the_same() -> None:
    assert _per_million(4.59, break_even_tokens_per_s(4.59, 2.19)) == pytest.approx(2.19, rel=1e-6)


def test_api_cost_is_deepseeks_published_revenue_of_one_day() -> None:
    """608B input tokens, 342B of them cached, 168B output: 562,027 USD in their overview."""
    usage = _usage(
        prompt_tokens=608 * 10**9,
        cached_prompt_tokens=342 * 10**9,
        completion_tokens=168 * 10**9,
    )
    found = total_cost(Pricing(name="r1", api=R1), "api", usage)
    assert found.usd == pytest.approx(562_027, rel=0.001)


@pytest.mark.parametrize(("tokens_per_s", "usd"), [(10_000, 0.0005), (150, 0.032)])
def test_cost_per_solved_of_a_7b_on_an_h200(tokens_per_s: float, usd: float) -> None:
    """1000 problems, 3500 tokens each, 928 solved."""
    usage = _usage(generation_s=3_500_000 / tokens_per_s, completion_tokens=3_500_000)
    cost = total_cost(_rented(), "rented", usage)
    assert cost.usd is not None
    found = cost_per_solved(list(apportion(cost.usd, [1] * 1000)), [1] * 928 + [0] * 72)
    assert found.value == pytest.approx(usd, rel=0.04)
    assert found.low is not None
    assert found.high is not None
    assert found.low < known(found.value) < found.high


@pytest.mark.parametrize(("output", "solved", "usd"), [(2.19, 973, 0.0079), (60, 964, 0.218)])
def test_api_cost_per_solved_at_published_accuracies(
    output: float, solved: int, usd: float
) -> None:
    price = ApiPrice(
        input_usd_per_million_tokens=0.0, output_usd_per_million_tokens=output, **WHERE
    )
    usage = _usage(completion_tokens=3_500_000)
    cost = total_cost(Pricing(name="test", api=price), "api", usage)
    assert cost.usd is not None
    found = cost_per_solved(
        list(apportion(cost.usd, [1] * 1000)), [1] * solved + [0] * (1000 - solved)
    )
    assert found.value == pytest.approx(usd, rel=0.005)


def test_owned_energy_is_the_full_load_hour_of_an_h200() -> None:
    """700 W for an hour at PUE 1.3 and 0.1902 per kWh is 0.173."""
    found = total_cost(
        _owned(usd_per_kwh=0.1902, pue=1.3), "owned", _usage(energy_joules=700 * 3600)
    )
    assert found.usd == pytest.approx(0.173, abs=0.0005)
    assert "amortisation" in found.method


def test_owned_cost_adds_the_share_of_the_purchase_and_of_running_it() -> None:
    pricing = _owned(
        usd_per_kwh=0.5,
        capex_usd=20_000,
        lifetime_h=20_000,
        utilisation_fraction=0.5,
        opex_usd_per_hour=0.25,
    )
    usage = _usage(energy_joules=3_600_000, generation_s=1800)
    # 1 kWh at 0.5, and half an hour at 20,000 / (20,000 * 0.5) + 0.25
    assert total_cost(pricing, "owned", usage).usd == pytest.approx(0.5 + 0.5 * 2.25)


# --- what a price is for -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "device", "count", "usd"),
    [
        ("gpu", "cuda", 4, 4.0),
        ("vcpu", "cpu", 16, 16.0),
        ("machine", "cuda", 4, 1.0),
        ("machine", "cpu", 16, 1.0),
        ("gpu", "cpu", 16, None),
        ("vcpu", "cuda", 4, None),
    ],
)
def test_rent_counts_the_devices_that_it_is_for(
    unit: str, device: str, count: int, usd: float | None
) -> None:
    pricing, usage = _rented(1.0, unit), _usage(device=device, device_count=count)
    found = total_cost(pricing, "rented", usage)
    assert found.usd == usd
    assert hourly_rent(pricing.rented, usage) == usd
    assert (found.undefined is not None) == (usd is None)


def test_loading_is_priced_apart() -> None:
    usage = _usage(load_s=120.0)
    assert total_cost(_rented(), "rented", usage).usd == pytest.approx(4.59)
    assert load_cost(_rented(), usage).usd == pytest.approx(4.59 / 30)
    assert "not loading" in total_cost(_rented(), "rented", usage).method
    assert load_cost(_rented(), _usage()).usd is None


@pytest.mark.parametrize(
    ("pricing", "basis", "changes", "reason"),
    [
        (Pricing(name="none"), "rented", {}, "rent"),
        (Pricing(name="none"), "owned", {}, "owning"),
        (Pricing(name="none"), "api", {}, "API"),
        (_rented(), "rented", {"generation_s": None}, "time"),
        (_owned(usd_per_kwh=0.2), "owned", {}, "energy"),
        (
            _owned(usd_per_kwh=0.2),
            "owned",
            {"energy_joules": 1.0, "generation_s": None},
            "time",
        ),
        (
            Pricing(
                name="api",
                api=ApiPrice(
                    input_usd_per_million_tokens=1, output_usd_per_million_tokens=1, **WHERE
                ),
            ),
            "api",
            {"prompt_tokens": 9, "cached_prompt_tokens": 3},
            "cached input",
        ),
    ],
)
def test_unknown_cost_is_none_and_says_why(
    pricing: Pricing, basis: Any, changes: dict[str, Any], reason: str
) -> None:
    found = total_cost(pricing, basis, _usage(**changes))
    assert found.usd is None
    assert mentions(f"{found.undefined}; {found.method}", reason)


def test_a_price_from_memory_is_called_unverified() -> None:
    assert "unverified" in total_cost(_rented(grade="M"), "rented", _usage()).method
    assert "unverified" not in total_cost(_rented(), "rented", _usage()).method


def test_a_cost_names_its_basis_source_and_date() -> None:
    method = total_cost(_rented(), "rented", _usage()).method
    assert method.startswith("rented:")
    assert "a price list, 2026-10-07, grade S" in method


def test_nothing_solved_has_no_price() -> None:
    found = cost_per_solved([1.0, 2.0], [0, 0])
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.undefined is not None
    assert "solved" in found.undefined


def test_interval_of_cost_per_solved_agrees_with_a_plain_bootstrap() -> None:
    """Whole problems drawn again, the ratio computed anew each time."""
    rng = np.random.default_rng(4)
    solved = rng.binomial(4, rng.beta(2, 1, 200))
    usd = rng.lognormal(0.0, 1.0, 200) * (5 - solved)
    found = cost_per_solved(list(usd), list(solved))
    drawn = rng.integers(200, size=(40_000, 200))
    low, high = np.percentile(usd[drawn].sum(axis=1) / solved[drawn].sum(axis=1), [2.5, 97.5])
    assert found.value == pytest.approx(usd.sum() / solved.sum())
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.01)


# --- sharing out -------------------------------------------------------------------------------


def test_shares_are_proportional_and_sum_to_the_total() -> None:
    assert apportion(6.0, [1, 2, 3]).tolist() == [1.0, 2.0, 3.0]
    assert apportion(6.0, [0, 0]).tolist() == [3.0, 3.0]
    assert apportion(0.0, []).tolist() == []


def test_an_api_charges_prompts_too_and_a_batch_is_shared_by_generated_tokens() -> None:
    assert request_weight(None, 1000, 10) == 10
    assert request_weight(R1, 1000, 10) == pytest.approx(1000 * 0.55 + 10 * 2.19)


# --- the shipped price lists -------------------------------------------------------------------

LISTS = sorted((CONF_DIR / "pricing").glob("*.yaml"))
OTHERS = (
    "NVIDIA GeForce RTX 5090 Laptop GPU",
    "NVIDIA GeForce RTX 4090 Laptop GPU",
    "NVIDIA GeForce RTX 4090 D",
    "NVIDIA H200 NVL",
    "NVIDIA H800 PCIe",
    "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
)
"""GPUs whose names begin as those that have a price or a data sheet here, and that are others."""


def _shipped(name: str) -> Pricing:
    text = (CONF_DIR / "pricing" / f"{name}.yaml").read_text(encoding="utf-8")
    return Pricing.model_validate(yaml.safe_load(text))


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.stem)
def test_every_shipped_price_list_is_valid_and_named_as_its_file(path: Any) -> None:
    assert _shipped(path.stem).name == path.stem


@pytest.mark.parametrize(
    ("device", "device_name", "expected"),
    [
        ("cuda", "NVIDIA H200", ["h200"]),
        ("cuda", "NVIDIA H100 80GB HBM3", ["h100"]),
        ("cuda", "NVIDIA H100 PCIe", ["h100_pcie"]),
        ("cuda", "NVIDIA H100 NVL", ["h100_nvl"]),
        ("cuda", "NVIDIA GH200 480GB", ["gh200"]),
        ("cuda", "NVIDIA B200", ["b200"]),
        ("cuda", "NVIDIA GeForce RTX 5090", ["rtx5090"]),
        ("cuda", "NVIDIA L4", ["l4"]),
        ("cuda", "NVIDIA A100-SXM4-80GB", ["a100"]),
        ("cuda", "NVIDIA L40S", ["l40s"]),
        ("cuda", "NVIDIA L40", []),
        ("cuda", "NVIDIA GeForce RTX 4090", ["rtx4090"]),
        ("cuda", "nvidia h200", ["h200"]),
        *(("cuda", name, []) for name in OTHERS),
        ("cpu", "AMD EPYC 9B14", ["cpu_cloud"]),
        ("cuda", "a GPU whose name has cpu in it", []),
    ],
)
def test_a_device_is_priced_by_the_list_that_is_for_it(
    device: str, device_name: str, expected: list[str]
) -> None:
    engine = made_up_engine(device=device, device_name=device_name)
    assert [p.stem for p in LISTS if _shipped(p.stem).is_for(engine)] == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [("source", ""), ("date", "yesterday"), ("grade", "X"), ("unit", "node"), ("usd_per_hour", -1)],
)
def test_a_price_without_a_proper_origin_is_refused(field: str, value: Any) -> None:
    fields = {"usd_per_hour": 1.0, "unit": "gpu", **WHERE, field: value}
    with pytest.raises(ValidationError, match=field):
        RentedPrice(**fields)
