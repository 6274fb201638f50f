"""A published figure from end to end: its command makes the run, and the run is set against it."""

import json
import shlex
from contextlib import chdir
from pathlib import Path

import pytest

from harness.cli.main import main
from tests.conftest import REPOSITORY
from tests.e2e.conftest import Harness
from tests.facts import mentions

CARD = REPOSITORY / "examples" / "cards" / "SmolLM2-135M-Instruct"
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.model
def test_the_command_of_a_figure_makes_a_run_that_is_set_against_it(
    harness: Harness, tmp_path: Path, shared_data: Path
) -> None:
    arguments = ["check", str(CARD), "--model", MODEL, "--no-plan", "--json"]
    before = harness(*arguments, "--results-dir", str(tmp_path))
    assert before.returncode == 0, before.stderr
    (found,) = json.loads(before.stdout)
    assert (found["verdict"], found["task"]) == ("untested", "gsm8k_fewshot")

    words = [
        each.replace("gsm8k_fewshot", "gsm8k_fewshot:2")
        for each in shlex.split(found["command"])[1:]
    ]
    run = harness(*words, "engine=transformers", "canary=false", HARNESS_DATA_DIR=str(shared_data))
    assert run.returncode == 0, run.stderr

    after = harness(*arguments, "--results-dir", str(tmp_path))
    (found,) = json.loads(after.stdout)
    (evidence,) = found["evidence"]
    assert evidence["numbers"]["problems"] == 2
    assert evidence["numbers"]["published"] == pytest.approx(0.014)
    assert found["verdict"] == evidence["verdict"] == "inconclusive"
    caveats = "\n".join(evidence["caveats"])
    assert mentions(caveats, "other weights", "Q4_1")
    assert mentions(caveats, "2 of 1319 problems")
    assert mentions(caveats, "system_prompt")


def test_the_page_shows_what_the_kept_run_says(capsys: pytest.CaptureFixture[str]) -> None:
    run = REPOSITORY / "results" / "checks" / "smollm2_135m_gsm8k_fewshot_300.json"
    card = str(CARD.relative_to(REPOSITORY))
    with chdir(REPOSITORY):
        assert main(["check", card, "--model", MODEL, "--no-plan", "--runs", str(run)]) == 0
    assert capsys.readouterr().out.strip() in (REPOSITORY / "docs" / "check.md").read_text("utf-8")
    assert (
        main(["check", str(CARD), "--model", MODEL, "--no-plan", "--json", "--runs", str(run)]) == 0
    )
    (found,) = json.loads(capsys.readouterr().out)
    (evidence,) = found["evidence"]
    assert (evidence["numbers"]["problems"], found["verdict"]) == (300, "inconclusive")
    ninety = evidence["intervals"][2]
    assert 0 < ninety["low"] < 0.0193 < ninety["high"]
    assert mentions("\n".join(evidence["caveats"]), "other weights", "truncated", "300 of 1319")


def test_the_hand_written_card_is_read_as_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(CARD), "--model", MODEL, "--no-plan", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["figure"]["percent"] == 1.4
    assert found["known"] == {
        "fewshot": 5,
        "temperature": 0.0,
        "max_new_tokens": 256,
        "chat": True,
        "stop": ["Question:"],
    }
    assert mentions("\n".join(found["caveats"]), "other weights", "Q4_1")
