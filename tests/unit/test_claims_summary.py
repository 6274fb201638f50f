"""The first screen of ``harness claims``: which claims it shows, and that it is one screen."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.claims.judge import judge_claims
from harness.claims.ledger import Ledger, load_ledger
from harness.claims.runs import read_runs
from harness.claims.study import STUDY_FILE, default_study
from harness.cli import main as cli
from harness.errors import ConfigError
from harness.report.claims_summary import SHOWN, most_important
from tests.conftest import REPOSITORY
from tests.unit.claim_runs import make_run, spread

LINES = 40
WIDTH = 100


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return load_ledger()


@pytest.fixture
def screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    monkeypatch.setenv("COLUMNS", str(WIDTH))

    def of(*arguments: str) -> list[str]:
        assert cli.main(["claims", *arguments]) == 0
        return capsys.readouterr().out.splitlines()

    return of


def test_the_study_s_headline_claims_are_shown_in_its_order(ledger: Ledger) -> None:
    shown = [each.id for each in most_important(judge_claims(ledger), ledger.study)]
    assert shown == list(ledger.study.headline_claims)
    assert shown[:2] == ["r1-humaneval-92", "r1-math500-85"]
    assert len(shown) == SHOWN


def test_without_headline_claims_challenged_ones_come_first(ledger: Ledger) -> None:
    study = ledger.study.model_copy(update={"headline_claims": ()})
    shown = most_important(judge_claims(ledger), study)
    assert [each.verdict for each in shown] == ["challenged"] * SHOWN


def test_what_the_runs_decide_comes_before_the_headline_claims(
    ledger: Ledger, tmp_path: Path
) -> None:
    file = make_run(tmp_path, "a", solved=spread(500, 4, 1856))
    shown = most_important(judge_claims(ledger, read_runs([file], tmp_path)), ledger.study)
    decided = [each.id for each in shown if each.measured and each.measured.verdict != "untested"]
    assert "r1-math500-85" in decided
    assert any(name.startswith("published/") for name in decided)
    assert [each.id for each in shown[: len(decided)]] == decided
    assert {each.id for each in shown[len(decided) :]} <= set(ledger.study.headline_claims)


def test_it_is_one_screen(screen: Callable[..., list[str]], ledger: Ledger) -> None:
    lines = screen()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= WIDTH
    assert all(any(name in line for line in lines) for name in ledger.study.headline_claims)


def test_every_command_that_it_names_works(screen: Callable[..., list[str]]) -> None:
    study = str(REPOSITORY / "examples" / "study" / "smollm2")
    named = [line for line in screen("--study", study) if line.startswith("harness claims ")]
    assert len(named) == 3
    for line in named:
        words = line.partition("  ")[0].split()[2:]
        assert any("smollm2-ahead-of-smollm1" in each for each in screen(*words))


@pytest.mark.parametrize("option", ["--all", "--verdict=challenged", "--article=A1"])
def test_a_selection_and_all_have_the_table_of_evidence(
    screen: Callable[..., list[str]], option: str
) -> None:
    lines = screen(option)
    assert any(line.split()[:2] == ["claim", "measured"] for line in lines)
    assert len(lines) > LINES


def test_an_unknown_headline_claim_is_a_mistake_of_the_study(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(default_study(), tmp_path / default_study().name))
    file = copy / STUDY_FILE
    file.write_text(file.read_text().replace("- r1-math500-85", "- r1-math600-85"))
    with pytest.raises(ConfigError, match=r"^study\.yaml: headline_claims=r1-math600-85: "):
        load_ledger(copy)
