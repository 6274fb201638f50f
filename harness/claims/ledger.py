"""The ledger: a study's claims and published tables, read and checked against each other.

A claim that names a task, metric, model, quantity, table or claim that does not exist could never
be decided, so it is an error here and not a gap in the verdicts.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import yaml
from pydantic import ValidationError

from harness.claims.article import Article
from harness.claims.claim import Ablation, Claim, Measured, ProxyRatio
from harness.claims.replication_rules import ScoreTable
from harness.claims.runs import protocol_named
from harness.claims.study import STUDY_FILE, Study, default_study, find_study
from harness.claims.study_quantities import StudyDerivation, StudyQuantities
from harness.claims.study_quantities import mistakes as mistaken_names
from harness.errors import ConfigError
from harness.interop.published_figures import protocol_in_words
from harness.io.conf_files import names_in
from harness.io.mistakes import mistakes
from harness.io.yamlfile import load_yaml
from harness.quantities.expression import names_in_formula
from harness.quantities.published import Document
from harness.records import Record
from harness.tasks import task_names

METRICS = frozenset(
    {
        "accuracy",
        "cost_per_solved.rented",
        "output_tokens_per_s",
        "output_tokens_per_s.steady_state",
        "peak_memory_bytes",
        "solved_per_hour",
        "time_per_output_token_s.p50",
        "time_to_first_token_s.p50",
        "usd_per_million_output_tokens.rented",
    }
)
"""Metrics that a claim may be about, besides ``cons@k`` and ``pass@k``."""
_AT_K = re.compile(r"(cons|pass)@[1-9]\d*")

Kind = TypeVar("Kind", bound=Record)
AnyRecord = TypeVar("AnyRecord", Article, Claim, ScoreTable, Document, StudyDerivation)


class Ledger(NamedTuple):
    """All that a study holds, by id."""

    study: Study
    articles: Mapping[str, Article]
    claims: Mapping[str, Claim]
    tables: Mapping[str, ScoreTable]
    quantities: StudyQuantities
    """All that its claims may name."""


def load_ledger(folder: Path | None = None) -> Ledger:
    """Reads a study: ``study.yaml``, and the files of its five folders.

    Args:
        folder: The study's folder; None: the study that comes with the package.

    Raises:
        ConfigError: Lists every mistake by file and key, with the value and what would be right.
    """
    folder = folder or find_study()
    mistakes: list[str] = []
    study = _read_file(folder / STUDY_FILE, STUDY_FILE, Study, mistakes)
    articles = _read(folder / "article", Article, mistakes)
    claims = _read(folder / "claim", Claim, mistakes)
    tables = _read(folder / "score", ScoreTable, mistakes)
    quantities = _read_quantities(folder, mistakes)
    if study is not None and study.name != folder.name:
        mistakes.append(f"{STUDY_FILE}: name={study.name} should be the folder's, {folder.name}")
    if study is not None and not mistakes:  # a file that could not be read is missed by every other
        ledger = Ledger(study, articles, claims, tables, quantities)
        mistakes += _cross_check(ledger, folder)
        if not mistakes:
            return ledger
    if len(mistakes) > 1:
        mistakes.insert(0, f"{len(mistakes)} mistakes in the study {folder.name}")
    raise ConfigError("; ".join(mistakes))


def _read_quantities(folder: Path, mistakes: list[str]) -> StudyQuantities:
    # The catalogue has the documents of the study that comes with the package already.
    is_own = folder.resolve() == default_study().resolve()
    documents = {} if is_own else _read(folder / "published", Document, mistakes)
    derivations = _read(folder / "derivation", StudyDerivation, mistakes)
    mistakes += mistaken_names(documents, derivations)
    return StudyQuantities(documents, derivations)


def is_metric(name: str) -> bool:
    """Whether a run can have an Estimate of this name."""
    return name in METRICS or _AT_K.fullmatch(name) is not None


def _read(folder: Path, kind: type[AnyRecord], mistakes: list[str]) -> dict[str, AnyRecord]:
    found: dict[str, AnyRecord] = {}
    for file in sorted(folder.glob("*.yaml")):
        name = f"{folder.name}/{file.name}"
        record = _read_file(file, name, kind, mistakes)
        if record is None:
            continue
        key = "name" if isinstance(record, Document | StudyDerivation) else "id"
        own: str = getattr(record, key)
        if own in found:
            mistakes.append(f"{name}: {key}={own} is used twice")
        elif own != file.stem:
            mistakes.append(f"{name}: {key}={own} should be the file's name, {file.stem}")
        found[own] = record
    return found


def _read_file(file: Path, name: str, kind: type[Kind], mistakes: list[str]) -> Kind | None:
    """Reads one record; returns None, and adds the reason to ``mistakes``, if it is invalid."""
    try:
        raw = load_yaml(file.read_text(encoding="utf-8"))
        return kind.model_validate(raw)
    except OSError as error:
        mistakes.append(f"{name}: cannot be read: {error.strerror}")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mistakes.append(f"{name}: no YAML: {' '.join(str(error).split())}")
    except ValidationError as error:
        mistakes += [f"{name}: {text}" for text in _describe(error)]
    return None


def _describe(error: ValidationError) -> Iterator[str]:
    """One line for each mistake: the key, the value, what would be right."""
    for each in mistakes(error, branch_at={"measured": 1}):
        shown = "" if isinstance(each.given, dict | list | tuple | Record) else f"={each.given}"
        yield " ".join((f"{each.key}{shown}: {each.text}" if each.keys else each.text).split())


_MANY = ("claim", "quantity")


class _Names(NamedTuple):
    """The names that a claim may refer to, by kind."""

    choices: Mapping[str, frozenset[str]]

    def check(self, where: str, key: str, kind: str, name: str | None) -> Iterator[str]:
        if name is None or name in self.choices[kind]:
            return
        known = self.choices[kind]
        listed = f"; there are {', '.join(sorted(known))}"
        near = _nearest(name, known) if kind in _MANY else listed
        yield f"{where}: {key}={name}: no such {kind}{near}"


def _nearest(name: str, known: frozenset[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _cross_check(ledger: Ledger, folder: Path) -> list[str]:
    if not ledger.claims and not ledger.tables:
        return [f"{folder}: an empty study, with no claim in claim/ and no table in score/"]
    names = _Names(
        {
            **_of_the_harness(),
            "article": frozenset(ledger.articles),
            "claim": frozenset(ledger.claims),
            "quantity": ledger.quantities.names(),
        }
    )
    mistakes: list[str] = []
    for name in ledger.study.headline_claims:
        mistakes += names.check(STUDY_FILE, "headline_claims", "claim", name)
    for claim in ledger.claims.values():
        where = f"claim/{claim.id}.yaml"
        mistakes += names.check(where, "article", "article", claim.article)
        for key, block in (("measured", claim.measured), ("ablation", claim.ablation)):
            if block is not None:
                mistakes += _check_test(where, key, block, names)
        mistakes += _check_quantities(where, claim, ledger, names)
        mistakes += _check_contradictions(where, claim, ledger, names)
    for table in ledger.tables.values():
        mistakes += _check_table(table, names)
    for derivation in ledger.quantities.derivations.values():
        where = f"derivation/{derivation.name}.yaml"
        for each in names_in_formula(derivation.formula):
            mistakes += names.check(where, "formula", "quantity", each)
    return mistakes


def _of_the_harness() -> dict[str, frozenset[str]]:
    """The names that the harness offers to studies, by kind."""
    found = {kind: frozenset(names_in(kind)) for kind in ("model", "protocol", "experiment")}
    return {**found, "task": frozenset(task_names())}


def table_mistakes(table: ScoreTable) -> list[str]:
    """The mistakes in a single table, one line each."""
    return [
        line.removeprefix(f"{_place(table)}: ")
        for line in _check_table(table, _Names(_of_the_harness()))
    ]


def _check_test(where: str, key: str, block: Measured | Ablation, names: _Names) -> Iterator[str]:
    yield from names.check(where, f"{key}.task", "task", block.task)
    yield from names.check(where, f"{key}.protocol", "protocol", block.protocol)
    yield from names.check(where, f"{key}.experiment", "experiment", block.experiment)
    yield from _check_metric(where, f"{key}.metric", block.metric)
    models = (block.model, block.baseline) if isinstance(block, ProxyRatio) else tuple(block.models)
    for model in models:
        yield from names.check(where, f"{key}.models", "model", model)


def _check_metric(where: str, key: str, metric: str | None) -> Iterator[str]:
    if metric is not None and not is_metric(metric):
        known = ", ".join(sorted(METRICS))
        yield f"{where}: {key}={metric}: no such metric; there are {known}, cons@k, pass@k"


def _check_quantities(where: str, claim: Claim, ledger: Ledger, names: _Names) -> Iterator[str]:
    own = ledger.quantities.own()
    for each in claim.derived:
        yield from names.check(where, "derived.quantity", "quantity", each.quantity)
        if isinstance(each.to, str):
            yield from names.check(where, "derived.to", "quantity", each.to)
    if block := claim.published:
        for benchmark in block.benchmarks:
            for score in block.scores(benchmark):
                yield from names.check(where, "published.benchmarks", "quantity", score)
                if score in own and ledger.quantities.quantity(score).value is None:
                    wrong = f"{score} is unknown; leave it out"
                    yield f"{where}: published.benchmarks={benchmark}: {wrong}"


def _check_contradictions(where: str, claim: Claim, ledger: Ledger, names: _Names) -> Iterator[str]:
    for each in claim.contradictions:
        yield from names.check(where, "contradictions.claim", "claim", each.claim)
        other = ledger.claims.get(each.claim)
        if each.claim == claim.id:
            yield f"{where}: contradictions.claim={each.claim}: the claim itself"
        elif other and claim.id not in [back.claim for back in other.contradictions]:
            yield f"{where}: contradictions.claim={each.claim}: that claim does not name this one"


def _check_table(table: ScoreTable, names: _Names) -> Iterator[str]:
    where = _place(table)
    yield from names.check(where, "protocol", "protocol", table.protocol)
    if table.protocol in names.choices["protocol"]:
        yield from _check_examples(where, table, table.protocol)
    yield from names.check(where, "experiment", "experiment", table.experiment)
    for column in table.columns:
        if table.protocol is None and column.margin_points is not None:
            key = f"columns.{column.name}.margin_points={column.margin_points:g}"
            yield f"{where}: {key}: needs a protocol for the run it is compared with"
        yield from names.check(where, f"columns.{column.name}.task", "task", column.task)
        yield from _check_metric(where, f"columns.{column.name}.metric", column.metric)
    for row in table.rows:
        yield from names.check(where, f"rows.{row.subject}.model", "model", row.model)


def _place(table: ScoreTable) -> str:
    return f"score/{table.id}.yaml"


def _check_examples(where: str, table: ScoreTable, protocol: str) -> Iterator[str]:
    """Checks the number of examples: scores with another number are of another benchmark."""
    published = protocol_in_words(table.published_protocol).get("fewshot")
    here = protocol_named(protocol).fewshot
    if published not in (None, here) and any(each.margin_points for each in table.columns):
        yield (
            f"{where}: protocol={protocol}: shows {here} examples, and published_protocol says "
            f"{published}; name a protocol that shows as many, or leave margin_points out"
        )
