"""Quantities of prices: what an API charges, what serving costs, and their ratios."""

from collections.abc import Callable, Mapping
from functools import partial

from harness.config.pricing import ApiPrice
from harness.metrics.cost import (
    break_even_tokens_per_s,
    usd_per_million,
    usd_per_million_tokens,
)
from harness.quantities.published import api_price, fact, rented_price
from harness.quantities.sourced import Quantity, computed, looked_up, ratio, shown

_APIS = {"r1": "api_deepseek_r1", "o1": "api_openai_o1"}
_KINDS = ("input", "cached_input", "output")
_CLAIMED_SAVING = 0.95
"""The saving on o1's price that an article claims."""


def discount(price: Quantity, against: Quantity) -> Quantity:
    """The fraction by which one price is below another."""
    share = ratio(price, against)
    return computed(
        None if share.value is None else 1 - share.value,
        "of the price",
        f"1 - {shown(price.value)} / {shown(against.value)}",
        price,
        against,
    )


def price_quantities() -> Mapping[str, Callable[[], Quantity]]:
    """Quantities of prices, by name."""
    return {
        **{
            f"{api}_{kind}_usd_per_million": partial(_api, api, kind)
            for api in _APIS
            for kind in _KINDS
        },
        **{f"api_r1_{kind}_discount": partial(_discount_against_o1, kind) for kind in _KINDS},
        "api_r1_output_discount_against_o1_mini": lambda: discount(
            _api("r1", "output"), fact("o1_mini_output_usd_per_million")
        ),
        "r1_tokens_per_o1_token_at_95_percent": _tokens_at_saving,
        "api_o1_over_r1_output_price": lambda: ratio(_api("o1", "output"), _api("r1", "output")),
        "service_decode_nodes_usd_per_million_output": partial(_service_cost, "decode"),
        "service_prefill_nodes_usd_per_million_input": partial(_service_cost, "prefill"),
        "service_decode_nodes_price_over_cost": lambda: ratio(
            _api("r1", "output"), _service_cost("decode")
        ),
        "service_all_nodes_usd_per_million_output": _service_cost_of_output,
        "service_revenue_over_cost": lambda: ratio(
            fact("service_revenue_usd"), fact("service_cost_usd")
        ),
        **{
            f"break_even_tokens_per_s_h200_against_{api}": partial(break_even, "h200", api)
            for api in _APIS
        },
        "nvidia_loss_at_article_fall_usd": _nvidia_loss,
    }


def _api(api: str, kind: str) -> Quantity:
    price: ApiPrice = api_price(_APIS[api])
    value = getattr(price, f"{kind}_usd_per_million_tokens")
    return looked_up(value, "USD per million tokens", price)


def _discount_against_o1(kind: str) -> Quantity:
    return discount(_api("r1", kind), _api("o1", kind))


def _tokens_at_saving() -> Quantity:
    """How many output tokens R1 may spend for each of o1's and still save 95 % on a task."""
    r1, o1 = _api("r1", "output"), _api("o1", "output")
    return computed(
        (1 - _CLAIMED_SAVING) * o1.number / r1.number,
        "tokens for each of o1's",
        f"(1 - {_CLAIMED_SAVING:g}) x {shown(o1.value)} / {shown(r1.value)}",
        r1,
        o1,
    )


def _service_cost(phase: str) -> Quantity:
    """The cost of the nodes of one phase, ``decode`` or ``prefill``: each token needs both."""
    gpus, price = fact("service_gpus_per_node"), fact("service_usd_per_gpu_hour")
    speed = fact(f"service_{phase}_tokens_per_s")
    node = gpus.number * price.number
    return computed(
        usd_per_million_tokens(node, speed.number),
        "USD per million tokens",
        f"{phase} nodes only: {shown(node)} USD/h / (3,600 s x {shown(speed.value)} tokens/s) "
        "x 10^6",
        gpus,
        price,
        speed,
    )


def _service_cost_of_output() -> Quantity:
    """All that the service costs, prefill and idle nodes too, on the tokens that it generated."""
    cost, tokens = fact("service_cost_usd"), fact("service_output_tokens")
    return computed(
        usd_per_million(cost.number, tokens.number),
        "USD per million tokens",
        f"decode and prefill nodes: {shown(cost.value)} USD / {shown(tokens.value)} output tokens "
        "x 10^6",
        cost,
        tokens,
    )


def break_even(machine: str, api: str) -> Quantity:
    """Throughput at which a rented machine's output tokens cost as much as an API's.

    Args:
        machine: A price list with a rent.
        api: ``r1`` or ``o1``.
    """
    rent, price = rented_price(machine), _api(api, "output")
    return computed(
        break_even_tokens_per_s(rent.usd_per_hour, price.number),
        "tokens/s",
        f"{rent.usd_per_hour:g} USD/h / (3,600 s x {shown(price.value)} USD) x 10^6",
        looked_up(rent.usd_per_hour, "USD/h", rent),
        price,
    )


def _nvidia_loss() -> Quantity:
    fall, close, shares = (
        fact("article_nvidia_fall_fraction"),
        fact("nvidia_close_before_usd"),
        fact("nvidia_shares"),
    )
    return computed(
        fall.number * close.number * shares.number,
        "USD",
        f"{shown(fall.value)} x {shown(close.value)} USD x {shown(shares.value)} shares",
        fall,
        close,
        shares,
    )
