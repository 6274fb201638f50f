"""The published data that everything is derived from; each group is read on first use.

It lies in ``conf/``: ``answer_length``, ``architecture``, ``machine``, ``precision``,
``training``, and the price lists of January 2025 among ``pricing``; the documents of the study
that comes with the package are in ``study/deepseek_2025/published``.
"""

import difflib
import re

from harness.config.pricing import ApiPrice, Pricing, RentedPrice
from harness.errors import UserError
from harness.io.conf_files import read_file, read_group
from harness.io.paths import DEFAULT_STUDY, cached_by_places
from harness.io.sourced import Sourced
from harness.models.shape import Architecture, Name, architecture_names, read_architecture
from harness.quantities.answer_length import AnswerLengths
from harness.quantities.machine import Machine, Precision
from harness.quantities.sourced import Quantity, looked_up
from harness.quantities.training import Training
from harness.records import Record

DOCUMENTS = f"study/{DEFAULT_STUDY}/published"
"""The folder of ``conf/`` whose facts the catalogue computes with."""


class Value(Record):
    """A number as a document prints it."""

    value: float | None
    """The value; None where the document has the figure but does not print it."""
    unit: str


class Fact(Sourced, Value):
    """A number with its own source."""


class Document(Sourced):
    """One document with its figures, a file of a study's ``published``."""

    name: Name
    facts: dict[Name, Value]

    def fact(self, name: str) -> Fact:
        """One of its numbers, with where it is from."""
        origin = {"source": self.source, "date": self.date, "grade": self.grade}
        return Fact(**self.facts[name].model_dump(), **origin)


@cached_by_places
def architectures() -> dict[str, Architecture]:
    """All architectures by name."""
    return {name: read_architecture(name) for name in architecture_names()}


@cached_by_places
def machines() -> dict[str, Machine]:
    """All machines by name."""
    return read_group("machine", Machine)


@cached_by_places
def precisions() -> dict[str, Precision]:
    """All precisions by name, the widest first."""
    found = read_group("precision", Precision)
    return dict(sorted(found.items(), key=lambda item: -item[1].bits_per_weight))


@cached_by_places
def answer_lengths() -> dict[str, AnswerLengths]:
    """How long answers are expected to be, by kind of model."""
    return read_group("answer_length", AnswerLengths)


@cached_by_places
def trainings() -> dict[str, Training]:
    """All disclosed trainings by name."""
    return read_group("training", Training)


@cached_by_places
def facts() -> dict[str, Fact]:
    """All numbers of all documents by id."""
    found: dict[str, Fact] = {}
    for document in read_group(DOCUMENTS, Document).values():
        for name in document.facts:
            if name in found:
                raise UserError(f"conf/{DOCUMENTS}/{document.name}.yaml: {name} is there twice")
            found[name] = document.fact(name)
    return found


def fact(name: str) -> Quantity:
    """One printed number of the study that comes with the package."""
    found = facts()[name]
    return looked_up(found.value, found.unit, found)


def fact_of(document: Document, name: str) -> Quantity:
    """One printed number of any document."""
    found = document.fact(name)
    return looked_up(found.value, found.unit, found)


@cached_by_places
def api_price(name: str) -> ApiPrice:
    """An API's prices from ``conf/pricing``."""
    price = _pricing(name).api
    assert price is not None, f"conf/pricing/{name}.yaml has no API price"
    return price


@cached_by_places
def rented_price(name: str) -> RentedPrice:
    """A device's rent from ``conf/pricing``."""
    price = _pricing(name).rented
    assert price is not None, f"conf/pricing/{name}.yaml has no rent"
    return price


def find_architecture(asked: str, argument: str = "MODEL") -> Architecture:
    """The architecture that goes by a name, however it is written.

    Raises:
        UserError: None does; names the nearest and all there are.
    """
    names = {
        _plain(name): each
        for each in architectures().values()
        for name in (each.name, each.title, *each.aliases)
    }
    if found := names.get(_plain(asked)):
        return found
    near = difflib.get_close_matches(_plain(asked), names, n=1)
    meant = f"did you mean {names[near[0]].name}? " if near else ""
    known = ", ".join(architectures())
    raise UserError(f"{argument}={asked} is unknown; {meant}known are {known}")


def _plain(name: str) -> str:
    """A name without owner, case and separators: deepseek-ai/DeepSeek-V3 is deepseekv3."""
    return re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower())


def _pricing(name: str) -> Pricing:
    return read_file("pricing", name, Pricing)
