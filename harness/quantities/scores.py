"""Quantities of published scores: how far chance reaches, and who is ahead on which benchmarks.

The documents print no errors. A score is taken as a share of its problems, which leaves out
the chance in sampling and is therefore the smallest error it can have. DROP's score is a mean of
F1, which varies by no more than a share does.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import erfc, sqrt

from harness.quantities.published import fact, facts
from harness.quantities.sourced import Quantity, computed, shown
from harness.stats.intervals import wilson

_PERCENT = 100
R1_AGAINST_O1 = (
    "mmlu",
    "drop",
    "gpqa_diamond",
    "simpleqa",
    "livecodebench",
    "codeforces_rating",
    "swe_verified",
    "aider",
    "aime_2024",
    "math500",
)
"""Benchmarks for which DeepSeek printed both models. Codeforces once: its percentile is the rating
on another scale."""
_BENCHMARKS = (
    *R1_AGAINST_O1,
    *("mmlu_redux", "mmlu_pro", "if_eval", "frames", "alpacaeval", "arenahard"),
    *("cnmo_2024", "cluewsc", "c_eval", "c_simpleqa", "arena"),
)
"""All on which any two models are published."""
_RIVALS = ("gpt_4o", "claude_3_5_sonnet", "gemini_1_5_pro", "grok_2")
_NO_SHARE = ("livecodebench", "codeforces_rating")
"""Benchmarks without a test: their number of problems is not published, or the score is no
share."""
_TESTED = tuple(bench for bench in R1_AGAINST_O1 if bench not in _NO_SHARE)


def score_quantities() -> Mapping[str, Callable[[], Quantity]]:
    """Quantities of scores, by name."""
    return {
        **{
            f"{model}_math500_{end}": partial(_interval_end, model, end)
            for model in ("r1", "o1")
            for end in ("low", "high")
        },
        **{f"r1_against_o1_{bench}_p_value": partial(_p_value, bench) for bench in _TESTED},
        **{
            f"{model}_share_of_benchmarks_ahead_of_{rival}": partial(_share_ahead, model, rival)
            for model in ("r1", "v3")
            for rival in _RIVALS
        },
        "r1_benchmarks_compared_with_o1": partial(_benchmarks, "compared with o1", R1_AGAINST_O1),
        "r1_benchmarks_ahead_of_o1": lambda: _benchmarks(
            "ahead of o1", [bench for bench in R1_AGAINST_O1 if _is_ahead("r1", "o1", bench)]
        ),
    }


def _interval_end(model: str, end: str) -> Quantity:
    score, problems = fact(f"{model}_math500"), fact("math500_problems")
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
    return two_proportions(fact(f"r1_{bench}"), fact(f"o1_{bench}"), fact(f"{bench}_problems"))


def two_proportions(this: Quantity, other: Quantity, problems: Quantity) -> Quantity:
    """Two-sided, of the difference of two shares with a common variance.

    Args:
        this: A score in per cent.
        other: Another one of the same problems.
        problems: How many these are.
    """
    p, q = this.number / _PERCENT, other.number / _PERCENT
    common = (p + q) / 2
    error = sqrt(2 * common * (1 - common) / problems.number)
    z = (p - q) / error if error else 0.0  # both solve none, or all
    return computed(
        erfc(abs(z) / sqrt(2)),
        "probability",
        f"two-sided normal tail beyond z = {z:.3g} for {shown(this.value)} % against "
        f"{shown(other.value)} % of {shown(problems.value)}",
        this,
        other,
        problems,
    )


def _is_ahead(model: str, rival: str, bench: str) -> bool:
    return fact(f"{model}_{bench}").number > fact(f"{rival}_{bench}").number


def _share_ahead(model: str, rival: str) -> Quantity:
    """Share of all benchmarks on which both are published: choosing some would bias the result."""
    known = facts()
    common = [b for b in _BENCHMARKS if {f"{model}_{b}", f"{rival}_{b}"} <= known.keys()]
    ahead = [bench for bench in common if _is_ahead(model, rival, bench)]
    behind = [bench for bench in common if bench not in ahead]
    words = f"{len(ahead)} of {len(common)} benchmarks"
    words += f", behind on {', '.join(behind)}" if behind else ""
    pairs = [fact(f"{each}_{bench}") for bench in common for each in (model, rival)]
    return computed(len(ahead) / len(common), "of benchmarks", words, *pairs)


def _benchmarks(what: str, benches: tuple[str, ...] | list[str]) -> Quantity:
    pairs = [fact(f"{model}_{bench}") for bench in R1_AGAINST_O1 for model in ("r1", "o1")]
    return computed(len(benches), "benchmarks", f"R1 {what} on {', '.join(benches)}", *pairs)
