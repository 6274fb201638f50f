"""``.eval_results``: the hub's own classes read it back; what has no benchmark is said."""

from pathlib import Path

import pytest
import yaml
from huggingface_hub import parse_eval_result_entries

from harness.cli.main import main
from harness.errors import UserError
from harness.interop.export import Benchmark, to_eval_results
from harness.store.result import RunResult, load
from tests.facts import known, mentions
from tests.unit.export_runs import finished
from tests.unit.leaderboard_results import BASELINES

BASELINE = BASELINES / "smollm2_135m_standard_vllm.json"
CODE = "humaneval=openai/openai_humaneval:humaneval"


@pytest.fixture(scope="module")
def gsm8k() -> RunResult:
    """A result that calls its tasks otherwise: problems of MATH-500 as GSM8K's."""
    text = BASELINE.read_text("utf-8").replace('"math500', '"gsm8k')
    result = load(BASELINE)
    return type(result).model_validate_json(text)


def test_the_hub_reads_it_back(gsm8k: RunResult) -> None:
    text = to_eval_results([gsm8k], {}, "https://example.org/run")
    (entry,) = parse_eval_result_entries(yaml.safe_load(text))
    assert (entry.dataset_id, entry.task_id) == ("openai/gsm8k", "gsm8k")
    assert entry.value == 100 * known(gsm8k.estimate("accuracy", "gsm8k").value)
    assert entry.date == known(gsm8k.manifest.finished_at).isoformat(timespec="seconds")
    assert entry.source_url == "https://example.org/run"
    assert entry.verify_token is None
    assert mentions(known(entry.notes), "100 … 500 … 0-shot … greedy … 400 … 100")


def test_what_was_cut_off_or_failed_is_in_the_notes(tmp_path: Path) -> None:
    result = finished(tmp_path / "run")
    text = to_eval_results([result], {"aime24": Benchmark("MathArena/aime_2024", "a/b")})
    (entry,) = parse_eval_result_entries(yaml.safe_load(text))
    assert entry.task_id == "a/b"
    assert mentions(known(entry.notes), "0.6 … 0.95 … 4 … 512 … 3 of 20 … 1 of 20 … errors")


def test_a_task_without_a_benchmark_is_said_and_left_out(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["export", "eval-results", str(BASELINE), "--benchmark", CODE]) == 0
    (entry,) = parse_eval_result_entries(yaml.safe_load(capsys.readouterr().out))
    assert (entry.dataset_id, entry.value) == ("openai/openai_humaneval", 5.4878)
    assert mentions(caplog.text, "math500 … HuggingFaceH4/MATH-500 … --benchmark")


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ([], "humaneval, math500 … --benchmark"),
        (["--benchmark", "humaneval"], "--benchmark=humaneval … TASK=ORG/DATASET:TASK_ID"),
        (["--benchmark", "humaneval=data:x"], "--benchmark=humaneval=data:x … ORG/DATASET"),
        (["--benchmark", "gsm8k=a/b:c"], "--benchmark gsm8k= … humaneval, math500"),
        (["--organisation", "me"], "--organisation … eee … eval-results"),
    ],
)
def test_mistakes_are_a_line(
    arguments: list[str], facts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "eval-results", str(BASELINE), *arguments]) == UserError.exit_status
    last = capsys.readouterr().err.splitlines()[-1]
    assert mentions(last, facts)


def test_a_file_is_of_one_model(gsm8k: RunResult) -> None:
    model = gsm8k.manifest.model.model_copy(update={"name": "another"})
    manifest = gsm8k.manifest.model_copy(update={"model": model})
    with pytest.raises(UserError, match=r"another, smollm2"):
        to_eval_results([gsm8k, gsm8k.model_copy(update={"manifest": manifest})], {})
