"""The quantities that a study can name: the catalogue, its documents' figures, and derivations.

A derivation of a study is a formula over other quantities, one file of ``derivation/``.
"""

from collections.abc import Iterator, Mapping
from functools import cache, partial

from harness.claims.claim import Line, QuantityName
from harness.quantities import Quantity, catalogue, quantity
from harness.quantities.expression import Formula, NoNumberError, evaluate, filled_in
from harness.quantities.expression import names_in_formula as names_in
from harness.quantities.published import Document, fact_of, facts
from harness.quantities.sourced import computed, shown
from harness.records import Record


class StudyDerivation(Record):
    """A figure that follows from others, as ``derivation/<name>.yaml`` of a study has it."""

    name: QuantityName
    """The name for claims and other derivations."""
    title: Line
    """A description: ``problems of GSM8K solved``."""
    formula: Formula
    """Over quantities: ``smollm2_gsm8k_percent / 100 * gsm8k_problems``."""
    unit: Line
    """The unit of the result."""


class StudyQuantities:
    """Every quantity that a study can name; each is computed on request."""

    def __init__(
        self, documents: Mapping[str, Document], derivations: Mapping[str, StudyDerivation]
    ) -> None:
        """Takes what ``mistakes`` has found nothing wrong with."""
        self.documents, self.derivations = documents, derivations
        self._own = {
            name: partial(fact_of, document, name)
            for document in documents.values()
            for name in document.facts
        }
        self.quantity = cache(self._quantity)

    def names(self) -> frozenset[str]:
        """All names."""
        return frozenset(catalogue()) | self.own()

    def own(self) -> frozenset[str]:
        """The quantities that the study adds to the catalogue."""
        return frozenset(self._own) | frozenset(self.derivations)

    def __contains__(self, name: str) -> bool:
        return name in self._own or name in self.derivations or name in catalogue()

    def _quantity(self, name: str) -> Quantity:
        if name in self._own:
            return self._own[name]()
        if name in self.derivations:
            return self._derived(self.derivations[name])
        return quantity(name)

    def _derived(self, derivation: StudyDerivation) -> Quantity:
        formula = derivation.formula
        inputs = {name: self.quantity(name) for name in names_in(formula)}
        known = {name: each.value for name, each in inputs.items() if each.value is not None}
        words = {name: _in_formula(each.value, name) for name, each in inputs.items()}
        why, value = [f"{name} is unknown" for name in inputs if name not in known], None
        if not why:
            try:
                value = evaluate(formula, known)
            except NoNumberError as error:
                why = [f"unknown: {error}"]
        text = "; ".join([f"{derivation.title}: {filled_in(formula, words)}", *why])
        return computed(value, derivation.unit, text, *inputs.values())


def mistakes(
    documents: Mapping[str, Document], derivations: Mapping[str, StudyDerivation]
) -> Iterator[str]:
    """Names that are taken, and formulas that name themselves; a line each."""
    taken: dict[str, str] = {}
    for document in documents.values():
        for name, fact in document.facts.items():
            where = f"published/{document.name}.yaml"
            if name in taken:
                yield f"{where}: facts.{name}: also in {taken[name]}; a name belongs to one"
            elif name in catalogue() and not _is_the_catalogue_s(document, name):
                wrong = "the catalogue has a quantity of this name; choose another"
                yield f"{where}: facts.{name}={fact.value}: {wrong}"
            taken[name] = where
    for name in derivations:
        where = f"derivation/{name}.yaml"
        if other := taken.get(name) or ("the catalogue" if name in catalogue() else None):
            yield f"{where}: name={name}: also in {other}; choose another"
        if circle := _circle(name, derivations):
            yield f"{where}: formula: goes round in a circle, {' -> '.join(circle)}"


def _is_the_catalogue_s(document: Document, name: str) -> bool:
    """The very fact, as in a copy of the study that comes with the package."""
    return name in facts() and facts()[name] == document.fact(name)


def _circle(name: str, derivations: Mapping[str, StudyDerivation]) -> list[str]:
    """The way from a derivation back to itself; empty where there is none."""
    ways = [[name]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for after in names_in(derivations[way[-1]].formula):
            if after == name:
                return [*way, name]
            if after in derivations and after not in seen:
                seen.add(after)
                ways.append([*way, after])
    return []


def _in_formula(value: float | None, name: str) -> str:
    if value is None:
        return name
    return f"({shown(value)})" if value < 0 else shown(value)
