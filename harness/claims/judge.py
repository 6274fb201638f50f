"""Entry point: judges every claim and published score from a study and some runs."""

from collections.abc import Iterable, Mapping, Sequence

from harness.claims.ablation import ablations
from harness.claims.claim import (
    Claim,
    CostBelowPrice,
    HomePc,
    LowerBound,
    Measured,
    PrintedFigure,
    ProxyRatio,
)
from harness.claims.documents import derived_opinion, documentary_opinion, in_words
from harness.claims.ledger import Ledger
from harness.claims.proxies import costs, home_pcs, proxy_ratios
from harness.claims.published import lower_bounds, replications
from harness.claims.replication_rules import PublishedScore
from harness.claims.runs import AnyRun
from harness.claims.verdict import (
    ALPHA,
    Decision,
    Evidence,
    Judgement,
    Opinion,
    overall,
)
from harness.stats.paired import holm

_DECISIVE: Mapping[str, Decision] = {
    "lower_bound_from_distill": "challenged",
    "home_pc": "reproduced",
}
"""Rules by which one model is enough, and the verdict that is."""


def judge_claims(ledger: Ledger, runs: Sequence[AnyRun] = ()) -> list[Judgement]:
    """Every claim in the order of the articles, then every published score that can be run.

    The tests by which runs can challenge claims are one family, those of published scores another:
    Holm's adjustment over each, and a challenge that does not survive it is inconclusive.
    """
    claims = sorted(ledger.claims.values(), key=lambda each: (each.article, each.lines, each.id))
    scores = [
        score
        for table in ledger.tables.values()
        for score in table.scores()
        if score.is_reproducible
    ]
    measured = settle([_measure(claim, runs) for claim in claims])
    replicated = settle([replications(score, runs) for score in scores])
    return [
        *(_claim(claim, ledger, each) for claim, each in zip(claims, measured, strict=True)),
        *(_score(score, each) for score, each in zip(scores, replicated, strict=True)),
    ]


# --- what runs say ----------------------------------------------------------------------------


def _measure(claim: Claim, runs: Sequence[AnyRun]) -> list[Evidence]:
    if claim.ablation is not None:
        return ablations(claim, claim.ablation, runs)
    match claim.measured:
        case LowerBound() as block:
            return lower_bounds(claim, block, runs)
        case ProxyRatio() as block:
            return proxy_ratios(block, runs)
        case HomePc() as block:
            return home_pcs(block, runs)
        case CostBelowPrice() as block:
            return costs(block, runs)
        case None:
            return []


def settle(found: Sequence[Sequence[Evidence]]) -> list[tuple[Evidence, ...]]:
    """Adjusts the p of a family of tests, whichever way they went."""
    adjusted = iter(holm([each.p for group in found for each in group]))
    return [tuple(_adjusted(each, next(adjusted)) for each in group) for group in found]


def _adjusted(each: Evidence, p_holm: float | None) -> Evidence:
    if p_holm is None:
        return each
    update: dict[str, object] = {"p_holm": p_holm}
    if each.verdict == "challenged" and each.tag == "value" and p_holm >= ALPHA:
        note = f"not significant among all tests: p {each.p:.2g}, adjusted {p_holm:.2g}"
        update |= {"verdict": "inconclusive", "tag": None, "caveats": (*each.caveats, note)}
    return each.model_copy(update=update)


def opinion_of_runs(rule: str, evidence: tuple[Evidence, ...], decide: str | None) -> Opinion:
    """One verdict of all runs that fit.

    Args:
        rule: Of the claim; ``published_score`` for a score.
        evidence: What each run says.
        decide: The command that makes a run that would fit; None where there is none.
    """
    fitting = [each for each in evidence if each.decides]
    if not fitting:
        others = f"; {len(evidence)} not comparable" if evidence else ""
        missing = "" if decide else "; its model has no file in conf/model yet"
        return Opinion(
            verdict="untested",
            reason=f"no run that fits{others}{missing}",
            evidence=evidence,
            decide=decide,
        )
    if rule == "published_score":  # the run with the most answers knows best
        most = max(float(each.numbers["samples"] or 0) for each in fitting)
        fitting = [each for each in fitting if each.numbers["samples"] == most]
    verdicts = list(dict.fromkeys(each.verdict for each in fitting))
    decisive = [each for each in fitting if each.verdict == _DECISIVE.get(rule)]
    if decisive:
        chosen, verdict, tag = decisive, decisive[0].verdict, decisive[0].tag
    elif len(verdicts) == 1:
        chosen, verdict, tag = fitting, verdicts[0], fitting[0].tag
    else:
        chosen, verdict, tag = fitting, "inconclusive", "scope"
    assert verdict != "not comparable", "fitting has none"
    reason = "; ".join(each.text for each in chosen)
    return Opinion(verdict=verdict, tag=tag, reason=reason, evidence=evidence)


# --- claims -----------------------------------------------------------------------------------


def _claim(claim: Claim, ledger: Ledger, evidence: tuple[Evidence, ...]) -> Judgement:
    measured = None
    block = claim.ablation or claim.measured
    if block is not None:
        measured = opinion_of_runs(block.rule, evidence, _command(claim, block.experiment))
    derived, documentary = derived_opinion(claim, ledger.quantities), documentary_opinion(claim)
    found = overall(claim.method, measured, derived, documentary)
    shown_evidence = [
        each for opinion in (measured, derived, documentary) if opinion for each in opinion.evidence
    ]
    distill = [claim.measured.caveat] if isinstance(claim.measured, LowerBound) else []
    return Judgement(
        id=claim.id,
        article=ledger.articles[claim.article],
        lines=claim.lines,
        title=claim.title,
        subject=claim.subject,
        category=claim.category,
        figure=_figure(claim.figure),
        verdict=found.verdict,
        tag=found.tag,
        method=claim.method,
        rule=claim.rule,
        stands_on=found.stands_on,
        reason=found.reason,
        measured=measured,
        derived=derived,
        documentary=documentary,
        caveats=_caveats([*distill, *claim.caveats], shown_evidence),
        contradictions=claim.contradictions,
        forecast=claim.forecast,
        unverified=sum(each.is_unverified for each in shown_evidence),
    )


def _caveats(own: Iterable[str], evidence: Iterable[Evidence]) -> tuple[str, ...]:
    of_runs = [
        f"{', '.join(each.run_ids[:1])}{' …' if len(each.run_ids) > 1 else ''}: {caveat}"
        for each in evidence
        for caveat in each.caveats
    ]
    doubts = [f"unverified, from memory: {e.text}" for e in evidence if e.is_unverified]
    return tuple(dict.fromkeys([*own, *of_runs, *doubts]))


def _figure(figure: PrintedFigure | None) -> str | None:
    if figure is None:
        return None
    return in_words(figure.value, figure.unit)


def _command(claim: Claim, experiment: str | None) -> str:
    """The command that makes the runs of a claim."""
    if experiment is not None:
        return f"harness run experiment={experiment}"
    block = claim.ablation or claim.measured
    assert block is not None, "only a claim that runs can decide lacks them"
    models = _models(block)
    sweep = "-m " if len(models) > 1 else ""
    samples = getattr(block, "samples_per_problem", 1)
    return (
        f"harness run {sweep}model={','.join(models)} protocol={block.protocol} "
        f"'tasks=[{block.task}]' protocol.samples_per_problem={samples}"
    )


def _models(block: Measured | object) -> tuple[str, ...]:
    if isinstance(block, ProxyRatio):
        return block.model, block.baseline
    return tuple(getattr(block, "models", ()))


# --- published scores -------------------------------------------------------------------------


def _score(score: PublishedScore, evidence: tuple[Evidence, ...]) -> Judgement:
    measured = opinion_of_runs("published_score", evidence, score_command(score))
    column, table = score.column, score.table
    verdict = measured.verdict
    assert verdict is not None, "runs decide or are missing"
    return Judgement(
        id=f"published/{score.id}",
        article=None,
        title=f"{score.row.subject}: {column.name} ({table.title})",
        subject=score.row.subject,
        category="benchmark_accuracy",
        figure=f"{score.value:g} {column.unit}",
        verdict=verdict,
        tag=measured.tag,
        method="measured",
        rule="published_score",
        stands_on="measured",
        reason=measured.reason,
        measured=measured,
        derived=None,
        documentary=Opinion(
            verdict=None,
            reason=table.published_protocol,
            evidence=(
                Evidence(
                    kind="document",
                    text=f"{score.row.subject}: {score.value:g} on {column.name}",
                    sources=(score.row.source or table.source,),
                    numbers={"value": score.value, "unit": column.unit},
                    grade=table.grade,
                    date=table.date,
                ),
            ),
        ),
        caveats=_caveats(table.caveats, evidence),
        unverified=int(table.grade == "M"),
    )


def score_command(score: PublishedScore) -> str | None:
    """The command for the run of a published score; None where its model has no file."""
    row, column, table = score.row, score.column, score.table
    if row.model is None:
        return None
    if table.experiment is not None:
        needs = f" {row.needs}" if row.needs else ""
        return f"harness run experiment={table.experiment} model={row.model}{needs}"
    return (
        f"harness run model={row.model} protocol={table.protocol} 'tasks=[{column.task}]' "
        f"protocol.samples_per_problem={column.samples_per_problem or 1}"
    )
