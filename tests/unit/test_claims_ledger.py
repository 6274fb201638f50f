"""The ledger: complete, consistent with itself, and strict about what a claim may say."""

import datetime
import json
import re
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.claims.claim import Claim, LowerBound, PrintedFigure
from harness.claims.documents import documentary_opinion
from harness.claims.judge import judge_claims
from harness.claims.ledger import METRICS, Ledger, load_ledger
from harness.claims.study import default_study
from harness.errors import ConfigError
from harness.quantities import quantity
from tests.conftest import REPOSITORY
from tests.facts import known, mentions, narrowed

IDS = {
    "A0": """
        moe-selects-experts moe-same-quality-less-compute fewer-active-params-cheaper
        not-a-giant-model mla-latent-relations mla-less-memory mla-long-context-efficient
        mla-more-stable mla-is-novel builds-on-public-research dev-cost-drastically-lower
        no-supercomputer-infra comparable-results-much-cheaper nvidia-minus-600bn-one-day-a0
        rhetoric-shenzhen nvidia-fall-historic developer-teams-shrink
    """,
    "A1": """
        deepseek-own-share-moved-market crash-on-27-jan-2025 nvidia-minus-7-82
        microsoft-minus-3-75 broadcom-minus-6-58 trigger-r1-launch
        r1-moe-plus-simulated-reasoning r1-humaneval-92 r1-math500-85 r1-scores-match-o1
        r1-training-cost-5-6m gpt4o-training-cost-78m auxfree-balancing-saves-compute
        r1-open-source-free tech-stocks-max-minus-10 nasdaq100-minus-3 nasdaq100-2024-plus-25
        frontier-ai-without-billions h100-export-banned h800-throttled-chips-used mtp-fp8-1-8x
        engineer-quote-anonymous rasgon-known-technology andreessen-most-spectacular
        stargate-500bn-direct-answer altmann-on-deepseek-a1 h800-own-software
    """,
    "A2": """
        r1-v3-match-or-beat-western-labs fraction-of-resources extremely-low-prices
        r1-v3-mit-licence nvidia-minus-600bn-a2 nvidia-minus-17 big-tech-minus-1tn
        chip-stocks-steep-fall oracle-minus-14 softbank-minus-8 alphabet-minus-4
        microsoft-minus-2 amazon-meta-slight-gain stargate-500bn-recent
        nvidia-says-export-compliant inference-needs-many-gpus nvidia-once-most-valuable
        chip-shares-no-quick-recovery amazon-not-big-in-llms trump-on-deepseek
        nvidia-calls-it-excellent sam-altman-on-deepseek
    """,
    "A3": """
        r1-public-one-week-before r1-beats-o1-several r1-free-licence r1-training-cost-5m
        openai-budget-5bn r1-output-price-2-19-a3 r1-undercuts-openai-95 anyone-can-self-host
        model-of-choice-us-universities meta-worried nvidia-minus-several-points
        nasdaq-minus-1-2tn no-frontier-hardware-needed slimmed-r1-on-home-pc r1-well-optimised
        sputnik-moment-headline andreessen-two-phrases altmann-on-deepseek-a3
        palihapitiya-on-deepseek
    """,
    "A4": """
        trained-on-2048-gpus fleet-over-50000-gpus parity-o1-some-benchmarks
        cost-5-6m-few-thousand-gpus us-firms-spend-billions r1-input-price-0-55
        r1-output-price-2-19-a4 o1-input-price-15 o1-output-price-60 prices-from-open-docs
        only-h800-available-in-china h800-lower-memory-bandwidth algorithms-for-memory-bandwidth
        deepseek-models-open-source open-models-cut-infra-cost deepseek-keeps-silent
    """,
}


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return load_ledger()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A copy of the study, to be spoilt."""
    return Path(shutil.copytree(default_study(), tmp_path / default_study().name))


def test_every_claim_is_there_under_its_article(ledger: Ledger) -> None:
    found: dict[str, set[str]] = {short: set() for short in IDS}
    for claim in ledger.claims.values():
        found[claim.article].add(claim.id)
    assert found == {short: set(ids.split()) for short, ids in IDS.items()}


def test_what_is_known_from_memory_only_is_marked(ledger: Ledger) -> None:
    unverified = {claim.id for claim in ledger.claims.values() if claim.unverified}
    assert {"r1-undercuts-openai-95", "amazon-meta-slight-gain"} <= unverified
    for claim in ledger.claims.values():
        figures = [each for each in claim.references if each.role == "figure"]
        if figures and not any(each.is_verified for each in figures):
            # Nothing but memory speaks for or against it: no verdict may rest on that.
            verdict = known(documentary_opinion(claim)).verdict
            assert verdict in {"inconclusive", "not_testable"}, claim.id


def test_every_article_has_a_name(ledger: Ledger) -> None:
    assert set(ledger.articles) == set(IDS)
    for article in ledger.articles.values():
        assert article.headline in article.title
        assert known(article.file) not in article.title  # a detail behind the name
        assert article.has_headline or article.note
    assert ledger.articles["A3"].author == "Marcel Kunzmann"
    assert ledger.articles["A4"].author == "Michael Stöckler"
    assert len({article.file for article in ledger.articles.values()}) == len(IDS)


def test_no_file_of_the_ledger_but_the_articles_own_names_an_articles_file(ledger: Ledger) -> None:
    files = [known(article.file).removesuffix(".txt") for article in ledger.articles.values()]
    for group in ("claim", "published", "score"):
        for path in (default_study() / group).glob("*.yaml"):
            text = path.read_text()
            assert not [file for file in files if file in text], path.name


def test_line_references_are_well_formed(ledger: Ledger) -> None:
    for claim in ledger.claims.values():
        assert list(claim.lines) == sorted(set(claim.lines)), claim.id
        for each in claim.references:
            if found := re.fullmatch(r"the article itself, line (\d+)", each.source):
                assert int(found[1]) in claim.lines, claim.id
            else:
                assert "the article itself" not in each.source, claim.id


def test_no_claim_counts_a_source_row_twice(ledger: Ledger) -> None:
    for claim in ledger.claims.values():
        rows = [(each.text, each.source) for each in claim.references]
        assert len(rows) == len(set(rows)), claim.id
        relations = [(each.quantity, each.to) for each in claim.derived]
        assert len(relations) == len(set(relations)), claim.id
        if claim.published:
            names = [bench.split("_")[0] for bench in claim.published.benchmarks]
            assert len(names) == len(set(names)), claim.id


def test_market_claims_are_judged_by_one_rule(ledger: Ledger) -> None:
    """Moves of prices are by rule R7; what is left to R6 has no figure, or is a quotation."""
    by_people = {
        claim.id: claim
        for claim in ledger.claims.values()
        if claim.category == "market" and claim.market is None
    }
    moves = {
        name
        for name, claim in by_people.items()
        if claim.figure is not None and claim.figure.what.startswith(("fall", "rise", "loss"))
    }
    assert moves == {"nasdaq-minus-1-2tn"}  # what Bloomberg is quoted with, not a move
    for claim in ledger.claims.values():
        if claim.market is not None:
            assert claim.documentary is None, claim.id


def derived_verdict(claim: Claim) -> str:
    """All relations hold, none does, or some do."""
    held: set[bool | None] = set()
    for each in claim.derived:
        against = each.to
        if isinstance(against, str):
            against = quantity(against).number
        found = each.holds(quantity(each.quantity).number, against or claim.figure or 0.0)
        held |= {found} - {None}
    return "reproduced" if held == {True} else "challenged" if held == {False} else "inconclusive"


def test_derived_claims_follow_from_arithmetic_and_documents(ledger: Ledger) -> None:
    """A figure may be right and the claim wrong: the less favourable of the two counts."""
    order = ["reproduced", "inconclusive", "challenged"]
    judged = {each.id: each.verdict for each in judge_claims(ledger)}
    for claim in ledger.claims.values():
        if claim.rule == "derived_equality":
            verdicts = {derived_verdict(claim), known(claim.documentary).verdict}
            assert judged[claim.id] == max(verdicts, key=order.index), claim.id


def test_the_two_measured_scores_are_planned_as_the_rules_ask(ledger: Ledger) -> None:
    maths, code = ledger.claims["r1-math500-85"], ledger.claims["r1-humaneval-92"]
    assert known(maths.figure).upper_edge == 85.5
    assert known(code.figure).upper_edge == 92.5
    assert (
        narrowed(LowerBound, maths.measured).samples_per_problem,
        narrowed(LowerBound, code.measured).samples_per_problem,
    ) == (4, 8)
    assert (
        len(narrowed(LowerBound, maths.measured).models)
        == len(narrowed(LowerBound, code.measured).models)
        == 6
    )


def test_a_figure_rounds_at_its_last_printed_digit() -> None:
    millions = PrintedFigure(what="cost", value=5_600_000, unit="usd", last_digit=100_000)
    assert millions.rounds(5_576_000)
    assert not millions.rounds(5_500_000)
    whole = PrintedFigure(what="score", value=85, unit="percent", last_digit=1)
    assert [whole.rounds(value) for value in (84.49, 84.5, 85.49, 85.5)] == [
        False,
        True,
        True,
        False,
    ]
    day = PrintedFigure(what="day", value=datetime.date(2025, 1, 27), unit="date")
    with pytest.raises(ValueError, match="2025-01-27"):
        day.upper_edge  # noqa: B018


def test_metrics_that_a_claim_may_name_are_in_real_results() -> None:
    files = sorted((REPOSITORY / "results" / "baselines").glob("*.json"))
    results = [json.loads(file.read_text()) for file in files]
    found = {each["metric"] for each in chain.from_iterable(r["estimates"] for r in results)}
    assert files
    assert found >= METRICS


def test_published_scores_of_the_distills(ledger: Ledger) -> None:
    scores = {each.id: each for table in ledger.tables.values() for each in table.scores()}
    assert len(scores) == sum(len(table.scores()) for table in ledger.tables.values())
    maths = scores["distill_table/r1_distill_qwen_7b/math500/accuracy"]
    assert (maths.value, maths.column.margin_points, maths.is_reproducible) == (92.8, 3, True)
    majority = scores["distill_table/r1_distill_llama_70b/aime24/cons@64"]
    assert (majority.value, majority.is_reproducible) == (86.7, False)
    code = scores["qwen2_5_instruct/qwen2_5_7b_instruct/humaneval/accuracy"]
    assert (code.value, code.column.margin_points) == (84.8, 4)
    other = scores["qwen2_5_instruct/qwen2_5_7b_instruct/MATH/percent"]
    assert not other.is_reproducible
    assert not scores["qwen2_5_math/Qwen/Qwen2.5-Math-7B/MATH/percent"].is_verified


def test_replications_differ_by_less_than_the_margin(ledger: Ledger) -> None:
    """The margin of 3 points is set by these fourteen differences."""
    vendor = {row.subject: row.values["MATH-500"] for row in ledger.tables["distill_table"].rows}
    differences = [
        row.values["MATH-500"] - vendor[row.subject]
        for table in ledger.tables.values()
        if table.kind == "replication"
        for row in table.rows
    ]
    assert len(differences) == 14
    assert sum(differences) / 14 == pytest.approx(-0.42, abs=0.005)
    assert (sum(d * d for d in differences) / 14) ** 0.5 == pytest.approx(1.06, abs=0.005)
    assert max(map(abs, differences)) == pytest.approx(1.9)


Change = Callable[[Any], object]


def drop(key: str) -> Change:
    return lambda raw: raw.pop(key)


def put(*path: str | int, to: object) -> Change:
    def change(raw: Any) -> None:
        for part in path[:-1]:
            raw = raw[part]
        raw[path[-1]] = to

    return change


def take(*path: str | int) -> Change:
    def change(raw: Any) -> None:
        for part in path[:-1]:
            raw = raw[part]
        del raw[path[-1]]

    return change


def append(*path: str | int, what: object) -> Change:
    def change(raw: Any) -> None:
        for part in path:
            raw = raw[part]
        raw.append(what)

    return change


MATHS = "r1-math500-85"
FALL = "oracle-minus-14"
BEATS = "r1-beats-o1-several"
READ = {"verdict": "reproduced", "reason": "so"}
COST = "r1-training-cost-5-6m"


@pytest.mark.parametrize(
    ("name", "spoil", "facts"),
    [
        (MATHS, take("references", 0, "source"), "references.0.source: "),
        (MATHS, put("references", to=[]), "references: "),
        (MATHS, take("figure", "unit"), "figure.unit: "),
        (MATHS, put("figure", "unit", to="furlongs"), "figure.unit=furlongs: "),
        (MATHS, take("figure", "last_digit"), "last_digit: "),
        (MATHS, take("references", 0, "unit"), "value=97.3 … unit=None"),
        (MATHS, put("references", 0, "grade", to="X"), "references.0.grade=X: "),
        (
            MATHS,
            put("references", 0, "date", to="2025-13"),
            "references.0.date=2025-13: ",
        ),
        (MATHS, put("article", to="A7"), "article=A7: … A0, A1"),
        (MATHS, put("article", to="005.txt"), "article=005.txt: "),
        (FALL, put("market", "says", to="noon"), "market.says=noon: "),
        (FALL, put("market", "at_least", to=2.0), "market.meaning: … at_least"),
        (FALL, put("documentary", to=READ), "market: … R7"),
        (FALL, take("references", 0, "moment"), "market: … moment"),
        (BEATS, append("published", "benchmarks", what="codeforces_percentile"), "codeforces"),
        (BEATS, append("published", "benchmarks", what="mmlu"), "mmlu"),
        (
            BEATS,
            append("published", "benchmarks", what="chess"),
            "published.benchmarks=r1_chess: ",
        ),
        (MATHS, put("figur", to=1), "figur=1: "),
        (MATHS, put("paraphrase", to="one\ntwo"), "paraphrase=one two: "),
        (MATHS, put("comparison", to="qualitative"), "comparison=qualitative: "),
        (MATHS, drop("measured"), "method=measured: … 'measured'"),
        (MATHS, put("rule", to="documentary"), "method=measured … 'lower_bound_from_distill'"),
        (MATHS, put("measured", "task", to="math501"), "measured.task=math501: … math500"),
        (MATHS, put("measured", "metric", to="f1"), "measured.metric=f1: … accuracy"),
        (MATHS, put("measured", "models", to=["r2"]), "measured.models=r2: … r1_distill_qwen_7b"),
        (MATHS, put("measured", "protocol", to="p"), "measured.protocol=p: … greedy"),
        (MATHS, put("measured", "experiment", to="e"), "measured.experiment=e: … demo"),
        (MATHS, take("documentary", "tag"), "documentary: tag: "),
        (
            COST,
            put("derived", 0, "quantity", to="v3_training_usb"),
            "derived.quantity=v3_training_usb: … v3_training_usd?",
        ),
        (
            COST,
            put("documentary", to={"verdict": "not_testable", "reason": "so"}),
            "documentary.verdict: 'not_testable' … method=not_testable",
        ),
        (
            COST,
            put("contradictions", 0, "claim", to="r1-training-cost-5"),
            "contradictions.claim=r1-training-cost-5: … r1-training-cost-5m?",
        ),
        (COST, put("contradictions", 0, "claim", to=COST), f"contradictions.claim={COST}: "),
        (
            COST,
            put("contradictions", 0, "claim", to=MATHS),
            f"contradictions.claim={MATHS}: ",
        ),
        (COST, put("id", to="other"), f"id=other … {COST}"),
        (COST, put("id", to=MATHS), f"claim/{COST}.yaml: id={MATHS}"),
    ],
)
def test_what_is_wrong_with_a_claim_is_said_in_a_line(
    study: Path, name: str, spoil: Callable[..., object], facts: str
) -> None:
    file = study / "claim" / f"{name}.yaml"
    raw = yaml.safe_load(file.read_text())
    spoil(raw)
    file.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError) as caught:
        load_ledger(study)
    assert mentions(str(caught.value), facts)
    assert f"claim/{name}.yaml: " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("spoil", "facts"),
    [
        (put("columns", 0, "task", to="math501"), "columns.MATH-500.task=math501: "),
        (put("columns", 0, "metric", to="f1"), "columns.MATH-500.metric=f1: "),
        (take("columns", 0, "margin_reason"), "margin_points=3.0 … margin_reason"),
        (put("rows", 0, "model", to="r2"), "rows.DeepSeek-R1-Distill-Qwen-1.5B.model=r2: "),
        (take("rows", 0, "model"), "DeepSeek-R1-Distill-Qwen-1.5B: … model … hub_id"),
        (put("rows", 0, "values", to={"MATH": 1.0}), "'MATH' … MATH-500, AIME 2024"),
        (take("source"), "source: "),
    ],
)
def test_what_is_wrong_with_a_table_is_said_in_a_line(
    study: Path, spoil: Callable[..., object], facts: str
) -> None:
    file = study / "score" / "distill_table.yaml"
    raw = yaml.safe_load(file.read_text())
    spoil(raw)
    file.write_text(yaml.safe_dump(raw))
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        load_ledger(study)
    assert "score/distill_table.yaml: " in str(caught.value)
    assert mentions(str(caught.value), facts)


def test_all_mistakes_are_listed_and_no_yaml_is_one_of_them(study: Path) -> None:
    (study / "claim" / f"{MATHS}.yaml").write_text("id: [")
    file = study / "claim" / f"{COST}.yaml"
    file.write_text(file.read_text().replace("unit: usd", "unit: euro"))
    with pytest.raises(ConfigError) as caught:
        load_ledger(study)
    assert str(caught.value).startswith("4 ")
    assert f"claim/{MATHS}.yaml: no YAML: " in str(caught.value)
    assert f"claim/{COST}.yaml: figure.unit=euro: " in str(caught.value)


def test_a_file_that_cannot_be_read_is_a_line_too(study: Path) -> None:
    (study / "claim" / "a-folder.yaml").mkdir()
    (study / "claim" / "no-text.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        load_ledger(study)
    assert mentions(str(caught.value), "claim/a-folder.yaml: ", "Is a directory")
    assert "claim/no-text.yaml: no YAML: " in str(caught.value)
    (study / "study.yaml").unlink()
    with pytest.raises(ConfigError, match=r"study\.yaml: .*No such file"):
        load_ledger(study)


def test_an_empty_study_is_refused(study: Path) -> None:
    for group in ("claim", "score"):
        shutil.rmtree(study / group)
    with pytest.raises(ConfigError, match=f"^{study}: .*claim/.*score/"):
        load_ledger(study)


def test_a_study_has_the_name_of_its_folder(study: Path) -> None:
    moved = study.rename(study.parent / "mine")
    with pytest.raises(ConfigError, match=r"^study\.yaml: name=deepseek_2025 .*mine$"):
        load_ledger(moved)
