"""``harness claims``: a verdict on each claim, from documents, arithmetic and runs."""

import argparse
import difflib
import logging
import shlex
from collections.abc import Iterable, Sequence
from typing import get_args

from harness.claims.article import Article
from harness.claims.claim import Category
from harness.claims.judge import judge_claims
from harness.claims.ledger import load_ledger
from harness.claims.runs import AnyRun, Unfinished, read_runs
from harness.claims.study import find_study
from harness.claims.verdict import DECISIONS, Judgement
from harness.errors import UserError
from harness.report.claims import as_json, as_markdown, print_claims
from harness.report.claims_summary import print_claims_summary

log = logging.getLogger(__name__)


def claims(options: argparse.Namespace) -> int:
    """Prints a summary of the verdicts; all or a selection of them as tables, JSON or Markdown.

    Returns:
        0, whatever the verdicts.

    Raises:
        UserError: There is no such study, or a filter names nothing that it has.
        ConfigError: The study has mistakes.
        StoreError: A run is none.
    """
    _check("--category", options.category, get_args(Category))
    _check("--verdict", options.verdict, DECISIONS)
    ledger = load_ledger(find_study(options.study))
    articles = {_article(name, ledger.articles.values()) for name in options.article}
    runs = read_runs(options.runs, options.results_dir)
    every = judge_claims(ledger, runs)
    _check_ids(options.id, every)
    shown = [
        each
        for each in every
        if (not articles or (each.article is not None and each.article.id in articles))
        and (not options.category or each.category in options.category)
        and (not options.verdict or each.verdict in options.verdict)
        and (not options.id or each.id in options.id)
    ]
    if options.json:
        print(as_json(shown))  # noqa: T201
    elif options.markdown:
        print(as_markdown(shown), end="")  # noqa: T201
    elif options.all or articles or options.category or options.verdict or options.id:
        print_claims(shown)
    else:
        print_claims_summary(every, ledger.study, _command(options))
    for run in runs:
        log.info("%s", _share(run, every))
    return 0


def _command(options: argparse.Namespace) -> str:
    """This command, its runs abbreviated."""
    study = "" if options.study is None else f" --study {shlex.quote(options.study)}"
    return f"harness claims{study}{' RUN…' * bool(options.runs)}"


def _share(run: AnyRun, every: Sequence[Judgement]) -> str:
    """What a run was good for, so that one that decides nothing does not pass for one that did."""
    if isinstance(run, Unfinished):
        return f"run {run.manifest.run_id} is not finished and decides nothing"
    named = [
        each.id
        for each in every
        if each.measured is not None
        and any(
            run.manifest.run_id in evidence.run_ids and evidence.verdict != "not comparable"
            for evidence in each.measured.evidence
        )
    ]
    what = f"counts for {', '.join(named)}" if named else "counts for no claim"
    return f"run {run.manifest.run_id} ({run.manifest.config.model.name}) {what}"


def _article(name: str, articles: Iterable[Article]) -> str:
    """The id of ``A1``, of a headline, an author or a file."""
    known = list(articles)
    for each in known:
        names = (each.id, each.headline, each.author or each.id, each.file or each.id)
        if name.lower() in {spelling.lower() for spelling in names}:
            return each.id
    listed = ", ".join(each.title for each in known)
    raise UserError(f"--article {name}: no such article; there are {listed}")


def _check(argument: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise UserError(f"{argument} {name}: no such choice; there are {', '.join(known)}")


def _check_ids(given: Iterable[str], every: Sequence[Judgement]) -> None:
    known = [each.id for each in every]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            meant = (
                f"did you mean {' or '.join(near)}?" if near else "harness claims --all lists them"
            )
            raise UserError(f"--id {name}: no such claim; {meant}")
