"""Studies of other people's claims: found by name or folder, judged by the same rules."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.claims.judge import judge_claims
from harness.claims.ledger import load_ledger
from harness.claims.study import default_study, find_study
from harness.cli import main as cli
from harness.errors import ConfigError, UserError
from harness.io.paths import CONF_DIR, INCLUDED
from tests.conftest import REPOSITORY
from tests.facts import mentions

EXAMPLE = REPOSITORY / "examples" / "study" / "smollm2"
AHEAD = "smollm2-ahead-of-smollm1"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A copy of the example, to be spoilt."""
    return Path(shutil.copytree(EXAMPLE, tmp_path / "smollm2"))


def change(file: Path, spoil: Callable[[Any], object]) -> None:
    raw = yaml.safe_load(file.read_text())
    spoil(raw)
    file.write_text(yaml.safe_dump(raw))


def mistakes_of(folder: Path) -> str:
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        load_ledger(folder)
    return str(caught.value)


# --- the example ------------------------------------------------------------------------------


def test_the_example_is_judged_by_the_rules_of_the_articles() -> None:
    ledger = load_ledger(EXAMPLE)
    (found,) = judge_claims(ledger)
    assert (found.id, found.verdict, found.rule) == (AHEAD, "inconclusive", "published_comparison")
    assert found.tag == "value"  # no lead is beyond chance; what is gained on IFEval is context
    assert found.derived is not None
    tests = {each.quantity: each for each in found.derived.evidence if each.numbers.get("p")}
    mmlu = tests["smollm2_135m_against_smollm1_135m_mmlu_cloze_p_value"]
    # Two shares of 14,042 with a common variance, by hand: z = 0.01 / sqrt(2 * 0.288 * 0.712 / n).
    assert mmlu.numbers["p"] == pytest.approx(0.0643, abs=5e-4)
    assert mmlu.p_holm == pytest.approx(2 * 0.0643, abs=1e-3)
    level = tests["smollm2_135m_against_smollm1_135m_gsm8k_p_value"]
    assert (level.numbers["p"], level.p_holm) == (1, 1)
    assert len(tests) == 2  # of the other benchmarks nobody here says how many problems they have


def test_its_scores_are_kept_though_no_run_can_decide_them_yet() -> None:
    (table,) = load_ledger(EXAMPLE).tables.values()
    scores = {(each.row.subject, each.column.name): each.value for each in table.scores()}
    assert scores["SmolLM2-135M-Instruct", "GSM8K (5-shot)"] == 1.4
    assert not any(each.is_reproducible for each in table.scores())


def test_the_command_takes_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["claims", "--study", str(EXAMPLE), "--json"]) == 0
    assert [each["id"] for each in json.loads(capsys.readouterr().out)] == [AHEAD]


def test_derive_lists_what_a_study_adds(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["derive", "--study", str(EXAMPLE), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    solved = found["smollm2_135m_gsm8k_solved"]
    assert solved["value"] == pytest.approx(18.466)
    assert (solved["unit"], solved["grade"]) == ("problems", "S")  # the worse of S and P
    assert len(solved["sources"]) == 2
    assert "1.4 / 100 * 1,319 = 18.466 problems" in solved["arithmetic"]
    assert cli.main(["derive", "--study", str(EXAMPLE)]) == 0
    assert "18.466 problems" in capsys.readouterr().out


# --- a quantity that is unknown -----------------------------------------------------------------


def test_an_unknown_input_makes_an_unknown_result_and_is_named(study: Path) -> None:
    change(study / "published" / "gsm8k.yaml", lambda raw: raw["facts"].update(gsm8k_problems=None))
    assert mentions(mistakes_of(study), "published/gsm8k.yaml: facts.gsm8k_problems")
    unknown = {"value": None, "unit": "problems"}
    change(study / "published" / "gsm8k.yaml", lambda r: r["facts"].update(gsm8k_problems=unknown))
    found = load_ledger(study).quantities.quantity("smollm2_135m_gsm8k_solved")
    assert found.value is None
    assert mentions(found.arithmetic, "1.4 / 100 * gsm8k_problems", "gsm8k_problems is unknown")


def test_a_formula_without_a_number_is_unknown(study: Path) -> None:
    file = study / "derivation" / "smollm2_135m_if_eval_gain.yaml"
    change(file, lambda raw: raw.update(formula="smollm2_135m_arc / (1 - 1)"))
    found = load_ledger(study).quantities.quantity("smollm2_135m_if_eval_gain")
    assert found.value is None
    assert "37.3 / (1 - 1)" in found.arithmetic


def test_derivations_may_rest_on_each_other(study: Path) -> None:
    file = study / "derivation" / "smollm2_135m_if_eval_gain.yaml"
    change(file, lambda raw: raw.update(formula="0 - 2 * smollm2_135m_gsm8k_solved ** 2"))
    found = load_ledger(study).quantities.quantity("smollm2_135m_if_eval_gain")
    assert found.value == pytest.approx(-2 * 18.466**2)
    assert len(found.sources) == 2


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "spoil", "facts"),
    [
        (
            "derivation/smollm2_135m_gsm8k_solved",
            lambda raw: raw.update(formula="smollm2_135m_gsm8 / 100"),
            "formula=smollm2_135m_gsm8: … smollm2_135m_gsm8k?",
        ),
        (
            "derivation/smollm2_135m_gsm8k_solved",
            lambda raw: raw.update(formula="open('x')"),
            "formula=open('x'): … open('x')",
        ),
        (
            "derivation/smollm2_135m_gsm8k_solved",
            lambda raw: raw.update(formula="1 + smollm2_135m_gsm8k_solved"),
            "formula: … smollm2_135m_gsm8k_solved -> smollm2_135m_gsm8k_solved",
        ),
        (
            "derivation/smollm2_135m_gsm8k_solved",
            lambda raw: raw.update(name="v3_total_parameters"),
            "name=v3_total_parameters … smollm2_135m_gsm8k_solved",
        ),
        ("derivation/smollm2_135m_gsm8k_solved", lambda raw: raw.pop("unit"), "unit: "),
        (
            "published/gsm8k",
            lambda raw: raw["facts"].update(smollm2_135m_arc={"value": 1, "unit": "percent"}),
            "facts.smollm2_135m_arc: … published/card.yaml",
        ),
        (
            "published/gsm8k",
            lambda raw: raw["facts"].update(math500_problems={"value": 501, "unit": "problems"}),
            "facts.math500_problems=501",
        ),
        ("published/gsm8k", lambda raw: raw.update(grade="A"), "grade=A: "),
        ("published/gsm8k", lambda raw: raw.update(name="other"), "name=other … gsm8k"),
        (
            "claim/" + AHEAD,
            lambda raw: raw["published"]["benchmarks"].append("chess"),
            "published.benchmarks=smollm2_135m_chess: ",
        ),
        ("claim/" + AHEAD, lambda raw: raw.update(article="paper"), "article=paper: … card"),
        (
            "score/card",
            lambda raw: raw["columns"][0].update(margin_points=1.0),
            "columns.GSM8K (5-shot).margin_points=1: … protocol",
        ),
        ("study", lambda raw: raw.update(authors=[]), "authors: "),
        ("study", lambda raw: raw.update(name="other"), "name=other … smollm2"),
    ],
)
def test_a_mistake_is_a_line_of_file_key_and_value(
    study: Path, file: str, spoil: Callable[[Any], object], facts: str
) -> None:
    change(study / f"{file}.yaml", spoil)
    found = mistakes_of(study)
    assert mentions(found, facts)
    assert f"{file}.yaml: " in found


def test_a_circle_of_two_derivations_is_shown(study: Path) -> None:
    one, two = "smollm2_135m_gsm8k_solved", "smollm2_135m_if_eval_gain"
    change(study / "derivation" / f"{one}.yaml", lambda raw: raw.update(formula=f"{two} + 1"))
    change(study / "derivation" / f"{two}.yaml", lambda raw: raw.update(formula=f"2 * {one}"))
    assert f"{one} -> {two} -> {one}" in mistakes_of(study)


def test_a_score_that_is_unknown_cannot_be_compared(study: Path) -> None:
    change(
        study / "published" / "card.yaml",
        lambda raw: raw["facts"]["smollm1_135m_arc"].update(value=None),
    )
    assert mentions(mistakes_of(study), f"claim/{AHEAD}.yaml: published.benchmarks=arc: ")


def test_a_study_without_claims_and_tables_is_refused(study: Path) -> None:
    shutil.rmtree(study / "claim")
    assert load_ledger(study).tables
    shutil.rmtree(study / "score")
    assert mistakes_of(study).startswith(f"{study}: ")


def with_a_margin(raw: Any, words: str) -> None:
    raw.update(protocol="greedy", published_protocol=words)
    raw["columns"][0].update(task="gsm8k", metric="accuracy", margin_points=1.0, margin_reason="so")


@pytest.mark.parametrize(
    ("words", "is_refused"),
    [
        ("5-shot", True),
        ("five examples before the question; nothing else is published", True),
        ("without examples", False),
        ("lighteval's settings", False),
    ],
)
def test_a_score_with_other_examples_than_its_protocol_shows_is_not_judged(
    study: Path, words: str, is_refused: bool
) -> None:
    change(study / "score" / "card.yaml", lambda raw: with_a_margin(raw, words))
    if is_refused:
        assert mentions(mistakes_of(study), "score/card.yaml: protocol=greedy: … 0 … 5")
    else:
        assert load_ledger(study).tables["card"].protocol == "greedy"


def test_a_new_study_has_a_score_that_a_run_can_decide(tmp_path: Path) -> None:
    assert cli.main(["new", "study", "fresh", "--dir", str(tmp_path)]) == 0
    tables = load_ledger(tmp_path / "conf" / "study" / "fresh").tables
    scores = [score for table in tables.values() for score in table.scores()]
    assert scores
    for score in scores:
        assert score.is_reproducible
        model = yaml.safe_load((CONF_DIR / "model" / f"{score.row.model}.yaml").read_text())
        assert "weights_of" not in model, "quantised weights decide nothing"


@pytest.mark.parametrize(
    ("this", "other", "is_tested"),
    [("smollm2_135m", "r1", True), ("r1", "smollm2_135m", True), ("r1", "gpt_4o", False)],
)
def test_a_score_of_the_study_is_tested_against_one_of_the_catalogue(
    study: Path, this: str, other: str, is_tested: bool
) -> None:
    score = {"smollm2_135m_mmlu": {"value": 40.0, "unit": "percent"}}
    change(study / "published" / "card.yaml", lambda raw: raw["facts"].update(score))
    asked = {"question": "beats", "this": this, "other": other, "benchmarks": ["mmlu"]}
    change(study / "claim" / f"{AHEAD}.yaml", lambda raw: raw.update(published=asked))
    (found,) = judge_claims(load_ledger(study))
    assert found.derived is not None
    (row,) = [each for each in found.derived.evidence if "this" in each.numbers]
    assert (row.numbers["p"] is not None) == is_tested


# --- which study --------------------------------------------------------------------------------


def test_a_study_goes_by_its_name_its_folder_or_its_file() -> None:
    assert find_study() == find_study("deepseek_2025") == default_study()
    assert find_study(str(EXAMPLE)) == find_study(str(EXAMPLE / "study.yaml")) == EXAMPLE


def test_a_relative_folder_is_found(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    assert find_study(".") == study
    monkeypatch.chdir(study.parent)
    assert find_study("smollm2") == study


def test_a_copy_of_the_study_of_the_package_says_the_same(tmp_path: Path) -> None:
    """Its documents are those of the catalogue, which is no second figure of one name."""
    copy = Path(shutil.copytree(default_study(), tmp_path / default_study().name))
    assert judge_claims(load_ledger(copy)) == judge_claims(load_ledger())


@pytest.mark.parametrize(
    ("asked", "facts"),
    [("deepsek_2025", "deepsek_2025: … deepseek_2025?"), ("tests", "tests: … study.yaml")],
)
@pytest.mark.parametrize("command", ["claims", "derive"])
def test_what_is_no_study_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    asked: str,
    facts: str,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    with pytest.raises(UserError, match=r"^[^\n]*$") as caught:
        find_study(asked)
    assert mentions(str(caught.value), f"--study={facts}")
    assert cli.main([command, "--study", asked]) == 2
    assert mentions(capsys.readouterr().err, f"--study={facts}")


def test_two_studies_of_one_name_are_refused(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    places = [folder / "conf" / "study" / "smollm2" for folder in folders]
    for place in places:
        shutil.copytree(study, place)
    monkeypatch.setenv(INCLUDED, str(folders[0]))
    assert find_study("smollm2") == places[0]
    monkeypatch.setenv(INCLUDED, os.pathsep.join(map(str, folders)))
    with pytest.raises(ConfigError, match=r"^study=smollm2: [^\n]*$") as caught:
        find_study("smollm2")
    assert all(str(place) in str(caught.value) for place in places)


def test_a_model_and_a_study_are_not_derived_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["derive", "--study", str(EXAMPLE), "--against", "V3"]) == 2
    assert "--against=V3" in capsys.readouterr().err


# --- the page -----------------------------------------------------------------------------------


def test_the_study_of_the_page_is_put_together_and_judged(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "studies.md").read_text()
    blocks = re.findall(r"^```yaml\n# (\S+\.yaml)\n(.*?)^```", page, re.M | re.S)
    for name, text in blocks:
        file = tmp_path / "mine" / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)
    claim, score = judge_claims(load_ledger(tmp_path / "mine"))
    assert (claim.id, claim.verdict, claim.tag) == ("larger-is-ahead", "reproduced", None)
    assert (score.verdict, score.subject) == ("untested", "Qwen2.5-7B-Instruct")
    assert mentions(str(score.decide), "model=qwen2_5_7b_instruct", "tasks=[humaneval]")
    assert len(blocks) == 6  # each file that the page's table names
