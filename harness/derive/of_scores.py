"""Quantities of published scores: how far chance reaches, and who is ahead on how many rows.

The documents print no errors. A score is taken as a share of so many problems, which leaves out
the chance in sampling and is therefore the smallest error it can have.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import sqrt
from statistics import NormalDist

from harness.derive.published import fact, facts
from harness.derive.sourced import Quantity, computed, shown
from harness.statistics import wilson

_PERCENT = 100
_SIZES = {
    "math500": "math500_problems",
    "aime_2024": "aime_2024_problems",
    "swe_verified": "swe_verified_problems",
}


def score_quantities() -> Mapping[str, Callable[[], Quantity]]:
    """By name."""
    return {
        **{
            f"{model}_math500_{end}": partial(_interval_end, model, end)
            for model in ("r1", "o1")
            for end in ("low", "high")
        },
        **{f"r1_against_o1_{bench}_p_value": partial(_p_value, bench) for bench in _SIZES},
        "r1_rows_compared_with_o1": lambda: _rows("compared"),
        "r1_rows_ahead_of_o1": lambda: _rows("ahead"),
    }


def _interval_end(model: str, end: str) -> Quantity:
    score, problems = fact(f"{model}_math500"), fact(_SIZES["math500"])
    low, high = wilson(score.number / _PERCENT * problems.number, problems.number)
    return computed(
        _PERCENT * (low if end == "low" else high),
        "percent",
        f"{end} end of the 95 % Wilson interval of {shown(score.value)} % of "
        f"{shown(problems.value)}",
        score,
        problems,
    )


def _p_value(bench: str) -> Quantity:
    """Two-sided, of the difference of two shares with a common variance."""
    this, other, problems = fact(f"r1_{bench}"), fact(f"o1_{bench}"), fact(_SIZES[bench])
    p, q = this.number / _PERCENT, other.number / _PERCENT
    common = (p + q) / 2
    z = (p - q) / sqrt(2 * common * (1 - common) / problems.number)
    return computed(
        2 * (1 - NormalDist().cdf(abs(z))),
        "probability",
        f"two-sided normal tail beyond z = {z:.3g} for {shown(this.value)} % against "
        f"{shown(other.value)} % of {shown(problems.value)}",
        this,
        other,
        problems,
    )


def _rows(what: str) -> Quantity:
    benches = [name.removeprefix("o1_") for name in facts() if _is_row(name)]
    pairs = [(fact(f"r1_{bench}"), fact(f"o1_{bench}")) for bench in benches]
    counted = [this.number > other.number for this, other in pairs if what == "ahead"] or pairs
    return computed(
        sum(map(bool, counted)),
        "rows",
        f"R1 {what}{' of' if what == 'ahead' else ' with'} o1 on rows {', '.join(benches)}",
        *(each for pair in pairs for each in pair),
    )


def _is_row(name: str) -> bool:
    return name.startswith("o1_") and f"r1_{name.removeprefix('o1_')}" in facts()
