"""The cost of a run on three bases, which are never added up.

``rented`` is hours times a rent, which already holds energy and hardware. ``owned`` is energy and
a share of the purchase. ``api`` is what a provider's price list would have charged for as many
tokens.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from harness.config.pricing import ApiPrice, Basis, OwnedPrice, Pricing, RentedPrice
from harness.records import Bound, Count, Record, Seconds
from harness.stats.intervals import DRAWS, SEED, Floats, Interval, ratio_interval

_JOULES_PER_KWH = 3_600_000
SECONDS_PER_HOUR = 3600
_MILLION = 1_000_000


# --- what was used, and its price -------------------------------------------------------------


class Devices(Protocol):
    """The devices that a rent is multiplied by; ``Usage`` and ``EngineInfo`` have them."""

    @property
    def device(self) -> str:
        """``cpu``, ``cuda``, ``remote``."""

    @property
    def device_count(self) -> int:
        """Number of GPUs, or of cores."""


class Usage(Record):
    """Resources of a run, over all its attempts, failed and truncated ones included."""

    device: str
    device_count: Annotated[int, Field(ge=1)]
    generation_s: Seconds | None
    """Machine time from loaded to the end of generating, summed over all sessions."""
    is_generation_lower_bound: bool = False
    """A session was killed, or its end is not on record: it was longer."""
    load_s: Seconds | None = None
    is_load_lower_bound: bool = False
    load_method: str = "loading and warm-up"
    """What ``load_s`` includes."""
    energy_joules: Annotated[float, Field(ge=0)] | None = None
    """Measured while generating. None is unknown; it is never estimated from a TDP."""
    energy_source: str | None = None
    """The counters behind ``energy_joules``; where it is None, the reason."""
    prompt_tokens: Count | None
    """None where a server did not report all of them; so is ``completion_tokens``."""
    completion_tokens: Count | None
    cached_prompt_tokens: Count = 0
    """Prompt tokens that are billed at the API's cache-hit price."""


class Cost(NamedTuple):
    """Dollars and how they were computed, or None and the reason."""

    usd: float | None
    method: str
    bound: Bound | None = None
    """``lower``: it cost at least this."""
    undefined: str | None = None
    """Why the dollars are unknown."""

    @classmethod
    def unknown(cls, why: str, method: str = "") -> Self:
        """A basis whose cost is unknown."""
        return cls(None, method, undefined=why)


def total_cost(pricing: Pricing, basis: Basis, usage: Usage) -> Cost:
    """Cost of generating, on one basis. Loading the model is not in it: see ``load_cost``."""
    match basis:
        case "rented":
            what = "generation, not loading"
            least = usage.is_generation_lower_bound
            return rented_cost(
                pricing.rented, usage, usage.generation_s, what, is_lower_bound=least
            )
        case "owned":
            return _owned_cost(pricing.owned, usage)
        case "api":
            return _api_cost(pricing.api, usage)


def load_cost(pricing: Pricing, usage: Usage) -> Cost:
    """Rent for what comes before generating, which is in no other cost."""
    what, least = usage.load_method, usage.is_load_lower_bound
    return rented_cost(pricing.rented, usage, usage.load_s, what, is_lower_bound=least)


def rented_cost(
    price: RentedPrice | None,
    usage: Usage,
    seconds: float | None,
    what: str,
    *,
    is_lower_bound: bool = False,
) -> Cost:
    """Rent for some seconds of all the run's devices."""
    if price is None:
        return Cost.unknown("no rent is known")
    units = _units(price, usage)
    if units is None:
        return Cost.unknown(f"rent is per {price.unit}, the run was on {usage.device}")
    if seconds is None:
        return Cost.unknown("the time is unknown", f"rented ({price.citation()})")
    hours = f"{'at least ' * is_lower_bound}{seconds:.1f} s ({what})"
    return Cost(
        price.usd_per_hour * units * seconds / SECONDS_PER_HOUR,
        f"rented: {hours} x {units} {price.unit} x {price.usd_per_hour:g} USD/h "
        f"({price.citation()})",
        "lower" if is_lower_bound else None,
    )


def hourly_rent(price: RentedPrice | None, devices: Devices) -> float | None:
    """Dollars per hour of all the devices; None where the rent is not for such devices."""
    units = None if price is None else _units(price, devices)
    return None if price is None or units is None else price.usd_per_hour * units


def _units(price: RentedPrice, devices: Devices) -> int | None:
    """The number of priced units; None when the run had none of them."""
    match price.unit:
        case "machine":
            return 1
        case "gpu":
            return devices.device_count if devices.device == "cuda" else None
        case "vcpu":
            return devices.device_count if devices.device == "cpu" else None


def _owned_cost(price: OwnedPrice | None, usage: Usage) -> Cost:
    if price is None:
        return Cost.unknown("no price of owning is known")
    if usage.energy_joules is None:
        why = usage.energy_source or "it was not recorded"
        return Cost.unknown(f"the energy is unknown ({why})", f"owned ({price.citation()})")
    if usage.generation_s is None:
        return Cost.unknown("the time is unknown", f"owned ({price.citation()})")
    kwh = usage.energy_joules / _JOULES_PER_KWH * price.pue
    hourly = price.opex_usd_per_hour
    share = "amortisation left out, capex unknown"
    if price.capex_usd is not None:
        hourly += price.capex_usd / (price.lifetime_h * price.utilisation_fraction)
        share = (
            f"{price.capex_usd:g} USD over {price.lifetime_h:g} h "
            f"at utilisation {price.utilisation_fraction:g}"
        )
    return Cost(
        kwh * price.usd_per_kwh + hourly * usage.generation_s / SECONDS_PER_HOUR,
        f"owned: {kwh:.6g} kWh (PUE {price.pue:g}) x {price.usd_per_kwh:g} USD/kWh, {share}, "
        f"opex {price.opex_usd_per_hour:g} USD/h; generation, not loading ({price.citation()})",
        "lower" if usage.is_generation_lower_bound else None,
    )


def _api_cost(price: ApiPrice | None, usage: Usage) -> Cost:
    if price is None:
        return Cost.unknown("no API price is known")
    cached_price = price.cached_input_usd_per_million_tokens
    if usage.cached_prompt_tokens and cached_price is None:
        return Cost.unknown("no price of cached input", f"api ({price.citation()})")
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        return Cost.unknown("token counts are unknown", f"api ({price.citation()})")
    missed = usage.prompt_tokens - usage.cached_prompt_tokens
    weight = request_weight(price, missed, usage.completion_tokens)
    return Cost(
        api_usd([weight, usage.cached_prompt_tokens * (cached_price or 0.0)]),
        f"api: {missed} input tokens x {price.input_usd_per_million_tokens:g}, "
        f"{usage.cached_prompt_tokens} cached, {usage.completion_tokens} output tokens "
        f"(thinking and answer) x {price.output_usd_per_million_tokens:g} USD per million, "
        f"counted by the local tokenizer ({price.citation()})",
    )


# --- derived figures --------------------------------------------------------------------------


def apportion(total: float, weights: ArrayLike) -> Floats:
    """Shares of a total in proportion to weights, equal ones if all are 0; they sum to it."""
    w = np.asarray(weights, dtype=np.float64)
    if w.sum() == 0:
        w = np.ones_like(w)
    return np.asarray(total * w / w.sum(), dtype=np.float64)


def request_weight(price: ApiPrice | None, prompt_tokens: int, completion_tokens: int) -> float:
    """How much of a total one request is answerable for.

    An API (``price`` given) bills each request by its tokens, here in millionths of a dollar.
    Requests in a batch share a machine's time, and each is taken to have used it in proportion to
    the tokens it generated.
    """
    if price is None:
        return float(completion_tokens)
    return (
        prompt_tokens * price.input_usd_per_million_tokens
        + completion_tokens * price.output_usd_per_million_tokens
    )


def api_usd(weights: Iterable[float]) -> float:
    """The price of requests at an API that serves these weights."""
    return sum(weights) / _MILLION


def cost_per_solved(
    usd: Sequence[float], solved: Sequence[int], *, draws: int = DRAWS, seed: int = SEED
) -> Interval:
    """Dollars per solved sample, from each problem's cost of all attempts and its solved ones.

    The interval resamples problems and computes the ratio anew.
    """
    if len(solved) and sum(solved) == 0:
        why = "nothing was solved, so no price per solved task exists"
        return Interval.unknown(why, len(solved))
    return ratio_interval(usd, solved, draws=draws, seed=seed, nothing="nothing is solved")


def usd_per_million_tokens(usd_per_hour: float, tokens_per_s: float) -> float:
    """The price of tokens on a machine that is paid by the hour."""
    return usd_per_million(usd_per_hour, SECONDS_PER_HOUR * tokens_per_s)


def usd_per_million(usd: float, tokens: float) -> float:
    """US dollars per million tokens."""
    return usd / tokens * _MILLION


def break_even_tokens_per_s(usd_per_hour: float, usd_per_million: float) -> float:
    """Throughput at which a rented machine's output token costs as much as an API's."""
    return usd_per_hour / (SECONDS_PER_HOUR * usd_per_million) * _MILLION
