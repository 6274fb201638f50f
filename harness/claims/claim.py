"""One claim: the article's statement, the sources, and how the claim can be decided.

A claim is data, written by people. ``documentary`` is their reading of the sources and ``forecast``
what they expected before anything was run; neither is a measurement. What a run or arithmetic shows
is computed elsewhere, from ``measured``, ``derived`` and ``ablation``.
"""

import datetime
import math
import operator
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from harness.io.sourced import Grade
from harness.records import Record

Line = Annotated[str, StringConstraints(min_length=1, pattern=r"^\S.*\S$|^\S$")]
"""Text without a line break, and without space around it."""
ClaimId = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Date = Annotated[str, Field(pattern=r"^\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?$")]
"""A date as exact as known: ``2025-01-23``, ``2025-01`` or ``2025``."""

ArticleId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]
"""A file in the study's ``article``: a press article, a paper, a model card."""
Category = Literal[
    "benchmark_accuracy",
    "training_cost",
    "api_price",
    "architecture",
    "hardware",
    "home_pc",
    "market",
    "licence",
    "other",
]
Method = Literal["measured", "derived", "ablation", "documentary", "not_testable"]
ClaimVerdict = Literal["reproduced", "challenged", "inconclusive", "not_testable"]
Tag = Literal["value", "attribution", "scope", "source", "snapshot"]
"""Why: the number itself, whose it is, how far it reaches, where it comes from, or its moment."""
Comparison = Literal[
    "equals", "about", "at_least", "at_most", "more_than", "less_than", "qualitative"
]
Rule = Literal[
    "lower_bound_from_distill",
    "proxy_ratio",
    "home_pc",
    "cost_below_price",
    "derived_equality",
    "speed_ratio",
    "published_comparison",
    "market_move",
    "documentary",
]
Moment = Literal["before_opening", "trading", "close"]
"""The moment of a price: the session's close, or a moment of the day before it."""
Unit = Literal[
    "bytes",
    "bytes/s",
    "bytes/token",
    "count",
    "date",
    "days",
    "factor",
    "flop/token",
    "gpu_hours",
    "gpus",
    "nodes",
    "parameters",
    "percent",
    "points",
    "rating",
    "tokens/s",
    "usd",
    "usd/hour",
    "usd/million_tokens",
    "weeks",
]
"""``percent`` as the articles print it, 92 and not 0.92; ``factor`` is a ratio, 1.8."""


Value = int | float | datetime.date


def _check_date(value: Value, unit: Unit) -> None:
    if isinstance(value, datetime.date) != (unit == "date"):
        raise ValueError(f"value={value} has the unit '{unit}'; a date has 'date', and no other")


class PrintedFigure(Record):
    """A number as an article prints it."""

    what: Line
    """What the figure counts: ``fall of Nvidia's share price``. A loss is a positive fall."""
    value: Value
    unit: Unit
    last_digit: float | None = None
    """The value of one step of the last printed digit: 1 for 85, 100,000 for 5.6 million.

    None for a date.
    """

    @model_validator(mode="after")
    def _has_a_precision(self) -> Self:
        _check_date(self.value, self.unit)
        if (self.unit == "date") != (self.last_digit is None):
            raise ValueError("last_digit: one step of the last printed digit; null for a date")
        if self.last_digit is not None and self.last_digit <= 0:
            raise ValueError(f"last_digit={self.last_digit} should be above 0")
        return self

    @property
    def number(self) -> float:
        """The value as a number.

        Raises:
            ValueError: It is a date.
        """
        if isinstance(self.value, datetime.date):
            raise ValueError(f"{self.value} is a date")
        return float(self.value)

    @property
    def lower_edge(self) -> float:
        """The smallest number that rounds to what is printed."""
        return self.number - (self.last_digit or 0) / 2

    @property
    def upper_edge(self) -> float:
        """The number from which on it rounds to more than is printed: 85.5 for 85."""
        return self.number + (self.last_digit or 0) / 2

    def rounds(self, value: float) -> bool:
        """Whether a value rounds to what is printed."""
        return self.lower_edge <= value < self.upper_edge


class Reference(Record):
    """A statement of one source."""

    role: Literal["figure", "origin", "context"]
    """Sets a figure against the article's, may be where the article's came from, or explains."""
    text: Line
    """The source's statement, paraphrased."""
    value: Value | None = None
    """The stated number or date, if there is one."""
    unit: Unit | None = None
    source: Line
    """Citation with page, table, commit or address."""
    grade: Grade
    """P primary, S secondary, D derived; M is from memory and is shown as unverified."""
    date: Date
    """When it was published, or read, as far as known."""
    moment: Moment | None = None
    """The moment of the price in ``value``; rule R7 needs it."""

    @model_validator(mode="after")
    def _value_has_a_unit(self) -> Self:
        if (self.value is None) != (self.unit is None):
            raise ValueError(f"value={self.value} with unit={self.unit}; give both or neither")
        if self.moment is not None and not isinstance(self.value, int | float):
            raise ValueError(f"moment={self.moment}: needs a value in numbers")
        if self.value is not None and self.unit is not None:
            _check_date(self.value, self.unit)
        return self

    @property
    def is_verified(self) -> bool:
        """False for what is known from memory only."""
        return self.grade != "M"


class Contradiction(Record):
    """Another claim of the study that contradicts this one, or seems to."""

    claim: ClaimId
    note: Line
    """How the claims differ, and how the contradiction resolves."""


class DocumentaryReading(Record):
    """The conclusion of people who read the sources. No measurement."""

    verdict: ClaimVerdict
    tag: Tag | None = None
    reason: Line

    @model_validator(mode="after")
    def _challenge_has_a_tag(self) -> Self:
        if self.verdict == "challenged" and self.tag is None:
            raise ValueError("tag: a challenge says whether value, attribution, scope … is wrong")
        return self


class Forecast(DocumentaryReading):
    """The verdict on the whole claim that was expected before any run."""

    date: datetime.date


QuantityName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""The name of a quantity in ``harness.quantities``."""


_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "equals": math.isclose,
    "more_than": operator.gt,
    "at_least": operator.ge,
    "less_than": operator.lt,
    "at_most": operator.le,
}


class Relation(Record):
    """A condition on a derived quantity under which the claim holds.

    With several, all must hold; when only some do, the claim reaches too far (``scope``).
    """

    quantity: QuantityName
    relation: Literal["equals", "more_than", "at_least", "less_than", "at_most", "context"]
    """``equals`` is rule R3, rounding to what is printed. ``context`` decides nothing."""
    to: float | QuantityName | None = None
    """A number or another quantity; None is the claim's own figure."""
    times: Annotated[float, Field(gt=0)] = 1
    """The quantity is multiplied by it first: 100 makes percent of a fraction."""
    note: Line
    """What the comparison shows."""

    def holds(self, value: float, against: "float | PrintedFigure") -> bool | None:
        """Whether the condition holds for a value and a reference; None for mere context."""
        mine = value * self.times
        if isinstance(against, PrintedFigure):
            if self.relation == "equals":
                return against.rounds(mine)
            against = against.number
        if self.relation == "context":
            return None
        return _COMPARE[self.relation](mine, against)


class LowerBound(Record):
    """Rule R2: a distilled model's score as a lower bound of its teacher's.

    Above the figure's upper edge by the one-sided 95 % bound, the claim is challenged as
    understated. Below it says nothing: a distill can neither reproduce a claim about its
    teacher nor show it too high.
    """

    rule: Literal["lower_bound_from_distill"]
    task: str
    metric: str
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    """Any of them can decide; names of ``conf/model``."""
    protocol: str
    samples_per_problem: Annotated[int, Field(ge=1)]
    """Planned beforehand."""
    stands_for: Line
    """The model that the distills were made from, in a word: R1."""
    experiment: str | None = None
    """The file of ``conf/experiment`` that makes the runs."""

    @property
    def caveat(self) -> str:
        """A caveat of every verdict by this rule."""
        return (
            f"a distill is not {self.stands_for}: it can only show that a figure understates "
            f"{self.stands_for}"
        )


class ProxyRatio(Record):
    """A small model of the same architecture against a dense one of the same size.

    The mechanism is shown when the 95 % interval of ``model`` over ``baseline`` lies above 1 (or
    below, where less is better); what it comes to in the large model is not.
    """

    rule: Literal["proxy_ratio"]
    task: str
    metric: str
    better: Literal["more", "less"]
    model: str
    baseline: str
    protocol: str
    stands_for: Line
    """The large model that the claim is about, in a word: R1."""
    experiment: str | None = None
    note: Line | None = None


class HomePc(Record):
    """The definition of "runs on a simple home PC"; a model that meets all of it decides.

    Memory counts weights and cache at ``context_tokens``.
    """

    rule: Literal["home_pc"]
    task: str
    metric: str
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    protocol: str
    context_tokens: Annotated[int, Field(ge=1)]
    gpu_memory_bytes: Annotated[int, Field(ge=1)]
    cpu_memory_bytes: Annotated[int, Field(ge=1)]
    min_output_tokens_per_s: Annotated[float, Field(gt=0)]
    """The speed of a single stream on a CPU."""
    reference_percent: float
    """The score that it must not be inferior to …"""
    margin_points: Annotated[float, Field(gt=0)]
    """… by more than this."""
    experiment: str | None = None
    note: Line | None = None


class CostBelowPrice(Record):
    """The cost of a model that is rented or owned, against a list price of an API."""

    rule: Literal["cost_below_price"]
    task: str
    metric: str
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    protocol: str
    price_usd_per_million_tokens: Annotated[float, Field(gt=0)]
    price_of: Line
    experiment: str | None = None
    note: Line | None = None


Measured = Annotated[LowerBound | ProxyRatio | HomePc | CostBelowPrice, Field(discriminator="rule")]


class Ablation(Record):
    """Rule R4: an effect taken apart by switching its causes on and off.

    Reproduced when the 90 % interval of the ratio lies within ``band_fraction`` of the figure,
    challenged when the 95 % interval excludes that band. Transfers to the large model as a
    mechanism only.
    """

    rule: Literal["speed_ratio"]
    design: Line
    factors: Annotated[tuple[str, ...], Field(min_length=1)]
    task: str
    metric: str
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    protocol: str
    repetitions: Annotated[int, Field(ge=2)]
    batch_sizes: Annotated[tuple[int, ...], Field(min_length=1)]
    band_fraction: Annotated[float, Field(gt=0, lt=1)]
    guard: Line
    """What must not change while the speed does."""
    stands_for: Line
    """The large model that the claim is about, in a word: R1."""
    experiment: str | None = None


class PublishedComparison(Record):
    """Rule R5: two models by their published scores, benchmark by benchmark.

    A two-proportion test on every benchmark whose number of problems is known, in both directions,
    Holm over them all. To keep up is to be ahead somewhere. To beat takes a lead that the test
    finds; leads without one are nominal, and leave the verdict inconclusive.
    """

    question: Literal["beats", "keeps_up"]
    this: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    """The claim's model, as quantities begin with it: ``r1``."""
    other: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    benchmarks: Annotated[tuple[QuantityName, ...], Field(min_length=1)]
    """All benchmarks on which both are published, each once: ``math500`` means ``r1_math500``,
    ``o1_math500`` and, where there is one, ``r1_against_o1_math500_p_value``."""

    @model_validator(mode="after")
    def _counts_nothing_twice(self) -> Self:
        # codeforces_rating and codeforces_percentile are one benchmark.
        names = [
            bench.removesuffix("_percentile").removesuffix("_rating") for bench in self.benchmarks
        ]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"benchmarks: {twice[0]} is counted twice")
        return self

    def p_value(self, benchmark: str) -> str:
        """The name of the quantity that tests a benchmark, whether there is one or not."""
        return f"{self.this}_against_{self.other}_{benchmark}_p_value"

    def scores(self, benchmark: str) -> tuple[str, str]:
        """The names of both models' scores."""
        return f"{self.this}_{benchmark}", f"{self.other}_{benchmark}"


class MarketMove(Record):
    """Rule R7: the move of a price or of a value, against documented moves of the same day.

    A claim that names no moment may mean any; only what no moment can have been is challenged.
    """

    says: Literal["close", "no_moment"]
    """The result of the day or session, or a move at a moment that is not named."""
    at_least: float | None = None
    """The number that a word stands for: "several" percentage points are 2 or more."""
    meaning: Line | None = None
    """The reason for this number."""

    @model_validator(mode="after")
    def _a_meaning_is_explained(self) -> Self:
        if (self.at_least is None) != (self.meaning is None):
            raise ValueError("market.meaning: says what at_least rests on; give both or neither")
        return self


class Claim(Record):
    """A claim, as ``claim/<id>.yaml`` of a study has it."""

    id: ClaimId
    article: ArticleId
    lines: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """The lines of the article's file, counted from 1; empty where the article has no file."""
    title: Line
    paraphrase: Line
    """The claim in our words, never the article's sentence."""
    subject: Line
    category: Category
    comparison: Comparison
    figure: PrintedFigure | None
    """The claim's figure; None where it gives none."""
    method: Method
    """The method that decides first; the other blocks are further evidence."""
    rule: Rule
    """The rule that decides it."""
    references: Annotated[tuple[Reference, ...], Field(min_length=1)]
    measured: Measured | None = None
    derived: tuple[Relation, ...] = ()
    ablation: Ablation | None = None
    published: PublishedComparison | None = None
    market: MarketMove | None = None
    documentary: DocumentaryReading | None = None
    forecast: Forecast | None = None
    """The forecast; None for a claim that was added after its sources had been read."""
    contradictions: tuple[Contradiction, ...] = ()
    caveats: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _figure_fits_the_comparison(self) -> Self:
        if (self.comparison == "qualitative") != (self.figure is None):
            raise ValueError(
                f"comparison={self.comparison}: a claim has a figure, or is 'qualitative'"
            )
        return self

    @model_validator(mode="after")
    def _can_be_decided_as_it_says(self) -> Self:
        by_method = {
            "measured": self.measured,
            "derived": self.published or any(r.relation != "context" for r in self.derived),
            "ablation": self.ablation,
            "documentary": self.documentary or self.market,
            "not_testable": self.documentary,
        }
        if not by_method[self.method]:
            block = "documentary" if self.method == "not_testable" else self.method
            raise ValueError(f"method={self.method}: needs a block '{block}'")
        if self.figure is None and any(
            each.to is None and each.relation != "context" for each in self.derived
        ):
            raise ValueError("derived.to: a claim without a figure needs one to compare with")
        if self.rule != self._rule():
            raise ValueError(f"rule={self.rule}: method={self.method} is by '{self._rule()}'")
        says_nothing = self.documentary and self.documentary.verdict == "not_testable"
        if (self.method == "not_testable") != bool(says_nothing):
            raise ValueError(
                "documentary.verdict: 'not_testable' goes with method=not_testable, where nothing "
                "can decide, and with no other"
            )
        return self

    @model_validator(mode="after")
    def _a_market_move_can_be_compared(self) -> Self:
        if self.market is None:
            return self
        if self.documentary is not None:
            raise ValueError("market: rule R7 gives the verdict of the documents; no documentary")
        if (self.figure is None) == (self.market.at_least is None):
            raise ValueError("market.at_least: for a claim without a figure, and for no other")
        if not any(each.moment for each in self.references):
            raise ValueError("market: needs a reference with a moment")
        return self

    def _rule(self) -> str:
        match self.method:
            case "documentary" if self.market:
                return "market_move"
            case "measured" if self.measured:
                return self.measured.rule
            case "derived":
                return "published_comparison" if self.published else "derived_equality"
            case "ablation":
                return "speed_ratio"
            case _:
                return "documentary"

    @property
    def unverified(self) -> tuple[Reference, ...]:
        """References known from memory only, to be marked wherever they are shown."""
        return tuple(each for each in self.references if not each.is_verified)
