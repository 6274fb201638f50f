"""Exports: the other project's own classes read them back, and nothing is invented."""

import json
from pathlib import Path

import pytest
import yaml

from harness.cli.main import main
from harness.errors import StoreError, UserError
from harness.interop.export import to_lm_eval, to_model_index
from harness.store.result import RunResult
from tests.facts import known, mentions
from tests.unit.leaderboard_results import BASELINES

BASELINE = BASELINES / "smollm2_135m_standard_vllm.json"


@pytest.fixture(scope="module")
def result() -> RunResult:
    return RunResult.model_validate_json(BASELINE.read_bytes())


def changed(result: RunResult, **by_metric: float | None) -> RunResult:
    """The result with other values of some figures."""
    estimates = [
        each.model_copy(update={"value": by_metric[each.metric]})
        if each.metric in by_metric
        else each
        for each in result.estimates
    ]
    return result.model_copy(update={"estimates": tuple(estimates)})


# --- lm-evaluation-harness --------------------------------------------------------------------

# Of result_schema.py in lm_eval 0.4.13, and what its evaluation tracker adds.
LM_EVAL_KEYS = {
    *("results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better"),
    *("n-samples", "samples", "config", "git_hash", "date", "pretty_env_info"),
    *("transformers_version", "lm_eval_version", "upper_git_hash", "model_source", "model_name"),
    *("model_name_sanitized", "chat_template", "chat_template_sha", "task_hashes"),
}


def test_lm_eval_has_the_shape_and_names_of_its_own_files(result: RunResult) -> None:
    file = to_lm_eval(result)
    assert set(file) - LM_EVAL_KEYS == {"gegenprobe"}
    assert "lm_eval_version" not in file  # it made none of this
    tasks = {"humaneval", "math500"}
    for key in ("results", "configs", "versions", "n-shot", "n-samples", "higher_is_better"):
        assert set(file[key]) == tasks
    code, maths = file["results"]["humaneval"], file["results"]["math500"]
    assert set(code) == {"alias", "pass@1,create_test", "pass@1_stderr,create_test"}
    assert set(maths) == {"alias", "exact_match,none", "exact_match_stderr,none"}
    assert file["n-samples"]["math500"] == {"original": 500, "effective": 100}
    assert file["configs"]["math500"]["dataset_path"] == "HuggingFaceH4/MATH-500"
    assert file["config"]["gen_kwargs"] == {
        "do_sample": False,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_gen_toks": 400,
    }


def test_lm_evals_standard_error_is_the_one_it_would_compute(result: RunResult) -> None:
    outcomes = [o for o in result.outcomes if o.request_id.startswith("humaneval/")]
    solved = [float(outcome.status == "correct") for outcome in outcomes]
    mean = sum(solved) / len(solved)
    # sample_stddev(items) / sqrt(len(items)), its mean_stderr
    variance = sum((value - mean) ** 2 for value in solved) / (len(solved) - 1)
    scores = to_lm_eval(result)["results"]["humaneval"]
    assert scores["pass@1,create_test"] == mean
    assert scores["pass@1_stderr,create_test"] == pytest.approx((variance / len(solved)) ** 0.5)


def test_lm_eval_gets_no_number_for_what_is_unknown(result: RunResult) -> None:
    without_error = to_lm_eval(changed(result, **{"accuracy_se.new_problems": None}))
    assert without_error["results"]["humaneval"]["pass@1_stderr,create_test"] == "N/A"
    ungraded = to_lm_eval(changed(result, accuracy=None))
    assert ungraded["results"]["humaneval"] == {"alias": "humaneval"}


# --- a model card -----------------------------------------------------------------------------


def test_the_hub_reads_the_model_index_back(result: RunResult) -> None:
    from huggingface_hub import ModelCard, ModelCardData
    from huggingface_hub.repocard_data import eval_results_to_model_index

    text = to_model_index([result])
    card = ModelCard(f"{text}# SmolLM2\n")  # refuses what is no model index
    assert isinstance(card.data, ModelCardData)
    assert card.data.model_name == "smollm2_135m"
    code, maths = known(card.data.eval_results)
    assert (code.dataset_type, code.dataset_split) == ("openai/openai_humaneval", "test")
    assert (code.metric_type, code.metric_value) == ("pass@1", pytest.approx(9 / 164))
    assert (
        known(code.metric_args)["low_95"] < code.metric_value < known(code.metric_args)["high_95"]
    )
    assert code.verified is False
    assert code.source_url is None
    assert (maths.dataset_name, maths.metric_value) == ("math500 (100 of 500)", 0.0)
    again = eval_results_to_model_index(card.data.model_name, known(card.data.eval_results))
    assert again == yaml.safe_load(text.strip("-\n"))["model-index"]


def test_a_card_is_of_one_model_with_some_score(result: RunResult) -> None:
    model = result.manifest.model.model_copy(update={"name": "another"})
    manifest = result.manifest.model_copy(update={"model": model})
    other = result.model_copy(update={"manifest": manifest})
    with pytest.raises(UserError, match=r"another, smollm2.* card "):
        to_model_index([result, other])
    with pytest.raises(UserError, match=r"smollm2_135m .*graded"):
        to_model_index([changed(result, accuracy=None)])


# --- the command ------------------------------------------------------------------------------


def test_the_command_writes_a_file_or_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out" / "results.json"
    assert main(["export", "lm-eval", str(BASELINE), "-o", str(file)]) == 0
    assert main(["export", "lm-eval", str(BASELINE)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(file.read_text("utf-8"))
    assert main(["export", "model-index", str(BASELINE)]) == 0
    assert capsys.readouterr().out.startswith("---\nmodel-index:\n- name: smollm2_135m\n")


def test_the_commands_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = ["--results-dir", str(tmp_path)]
    for arguments, words in (
        (["lm-eval", str(BASELINE), str(BASELINE)], "2 … lm-eval … one"),
        (["lm-eval", "nothing", *none], "nothing"),
        (["model-index", str(BASELINE), "-o", str(tmp_path)], f"{tmp_path}: … Is a directory"),
    ):
        assert main(["export", *arguments]) == StoreError.exit_status
        err = capsys.readouterr().err
        assert mentions(err, words)
        assert err.count("\n") == 1
