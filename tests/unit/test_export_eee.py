"""Every Eval Ever: its own schemas and its own validator take what is written."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.cli.main import main
from harness.errors import UserError
from harness.interop.export import Evaluator, write_eee
from harness.store.result import RunResult
from tests import peers
from tests.facts import known, mentions
from tests.unit.export_runs import finished
from tests.unit.leaderboard_results import BASELINES

SCHEMAS = Path(__file__).resolve().parent / "cases" / "eee"
AGGREGATE = json.loads((SCHEMAS / "eval.schema.json").read_text("utf-8"))
ROW = json.loads((SCHEMAS / "instance_level_eval.schema.json").read_text("utf-8"))
ME = Evaluator("An institute", "third_party")
WHO = ["--organisation", "An institute", "--evaluator-relationship", "third_party"]
BASELINE = str(BASELINES / "smollm2_135m_standard_vllm.json")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return finished(tmp_path_factory.mktemp("runs") / "r1_style")


@pytest.fixture(scope="module")
def written(result: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the two tasks' files."""
    folder = tmp_path_factory.mktemp("eee")
    write_eee(result, folder, ME)
    return folder


def aggregates(folder: Path) -> dict[Path, dict[str, Any]]:
    files = folder.glob("data/*/*/*/*.json")
    return {file: json.loads(file.read_text("utf-8")) for file in sorted(files)}


def rows_of(folder: Path, aggregate: dict[str, Any]) -> list[dict[str, Any]]:
    file = folder / aggregate["detailed_evaluation_results"]["file_path"]
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


# --- their own code -----------------------------------------------------------------------------


def test_the_schemas_take_every_file_and_no_file_without_a_required_key(written: Path) -> None:
    assert len(aggregates(written)) == 2
    for aggregate in aggregates(written).values():
        jsonschema.Draft7Validator(AGGREGATE).validate(aggregate)
        for key in AGGREGATE["required"]:
            with pytest.raises(jsonschema.ValidationError, match=key):
                jsonschema.Draft7Validator(AGGREGATE).validate(without(aggregate, key))
        rows = rows_of(written, aggregate)
        for row in rows:
            jsonschema.Draft7Validator(ROW).validate(row)
        for key in ROW["required"]:
            with pytest.raises(jsonschema.ValidationError, match=key):
                jsonschema.Draft7Validator(ROW).validate(without(rows[0], key))


@pytest.mark.index
def test_their_validator_takes_the_folder_and_refuses_a_spoilt_one(
    peer: Callable[[str], peers.Peer], written: Path, tmp_path: Path
) -> None:
    eee = peer("eee")
    for name in ("eval.schema.json", "instance_level_eval.schema.json"):
        found = eee.run(
            "-c", f"import every_eval_ever.schemas as s; print(s.__path__[0] + '/{name}')"
        )
        assert Path(found.stdout.strip()).read_bytes() == (SCHEMAS / name).read_bytes()

    def validate(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
        command = ("-m", "every_eval_ever", "validate", "--format", "json")
        done = eee.run(*command, f"{folder}/data/*/*/*/*.json*", check=False)
        return done.returncode, {each["file"]: each for each in json.loads(done.stdout)}

    status, files = validate(written)
    assert (status, len(files)) == (0, 4)
    assert sum(each["line_count"] for each in files.values()) == 31  # one error has no row

    for place, (file, aggregate) in enumerate(aggregates(written).items()):
        spoilt = without(aggregate, "model_info") if place else aggregate
        for source in (file, file.with_name(f"{file.stem}_samples.jsonl")):
            copy = tmp_path / source.relative_to(written)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
        (tmp_path / file.relative_to(written)).write_text(json.dumps(spoilt), encoding="utf-8")
    status, files = validate(tmp_path)
    assert status == 1
    assert sum(not each["valid"] for each in files.values()) >= 1


# --- what is in it ------------------------------------------------------------------------------


def test_an_aggregate_says_what_is_known_of_the_run(result: RunResult, written: Path) -> None:
    aime, code = aggregates(written).values()
    assert aime["model_info"]["id"] == "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    block = json.loads(aime["eval_library"]["additional_details"]["gegenprobe"])
    assert block["protocol_fields"] == {"aime24": result.manifest.protocol_fields["aime24"]}
    assert aime["source_metadata"]["source_organization_name"] == "An institute"
    scores = {each["metric_config"]["metric_name"]: each for each in aime["evaluation_results"]}
    assert {"accuracy", "pass@4", "cons@4"} <= scores.keys()
    accuracy = result.estimate("accuracy", "aime24")
    details = scores["accuracy"]["score_details"]
    interval = details["uncertainty"]["confidence_interval"]
    assert details["score"] == accuracy.value
    assert (interval["lower"], interval["upper"]) == (accuracy.low, accuracy.high)
    assert details["details"]["requests_generation_error"] == "1"
    assert details["details"]["requests_truncated"] == "3"
    assert scores["accuracy"]["source_data"]["hf_repo"] == "HuggingFaceH4/aime_2024"
    settings = scores["accuracy"]["generation_config"]["generation_args"]
    assert (settings["temperature"], settings["max_tokens"]) == (0.6, 512)
    assert "top_k" not in settings  # which is off
    names = [each["metric_config"]["metric_name"] for each in code["evaluation_results"]]
    assert names == ["pass@1", "pass@2", "pass@4"]


def test_every_graded_sample_has_a_row_with_text_verdict_tokens_and_times(
    result: RunResult, written: Path
) -> None:
    by_id = {}
    for aggregate in aggregates(written).values():
        detail = aggregate["detailed_evaluation_results"]
        content = (written / detail["file_path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == detail["checksum"]
        assert content.isascii()  # some readers end a line at any of Unicode's line breaks
        for row in rows_of(written, aggregate):
            by_id[f"{row['sample_id']}#{row['metadata']['sample']}"] = row
    graded = [each for each in result.samples() if not each.verdict.is_failure]
    assert by_id.keys() == {each.completion.request_id for each in graded}
    for each in graded:
        row, completion = by_id[each.completion.request_id], each.completion
        assert row["output"]["raw"] == [completion.text]
        assert row["metadata"]["status"] == each.verdict.status
        assert row["evaluation"]["is_correct"] == (each.verdict.status == "correct")
        assert row["token_usage"]["output_tokens"] == completion.completion_tokens
        took_s = known(completion.finished_s) - known(completion.started_s)
        assert row["performance"]["latency_ms"] == pytest.approx(1000 * took_s)
        extracted = [each["extracted_value"] for each in row["answer_attribution"]]
        assert extracted == ([] if each.verdict.extracted is None else [each.verdict.extracted])


def test_what_is_unknown_is_left_out_and_what_is_secret_struck_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct-horse-battery")
    first = "aime24/made-up/1#0"
    unknown = dict.fromkeys(("prompt_tokens", "started_s", "first_token_s", "finished_s"))
    result = finished(
        tmp_path / "run",
        completions={first: unknown},
        verdicts={first: {"detail": "correct-horse-battery"}},
    )
    write_eee(result, tmp_path, ME)
    aime = next(iter(aggregates(tmp_path).values()))
    row = rows_of(tmp_path, aime)[0]
    assert row.keys().isdisjoint({"token_usage", "performance"})
    assert row["metadata"]["detail"] == "***"
    jsonschema.Draft7Validator(ROW).validate(row)


def test_a_run_always_gives_the_same_files(
    result: RunResult, written: Path, tmp_path: Path
) -> None:
    again = write_eee(result, tmp_path, ME)
    first = {file.relative_to(written): file.read_bytes() for file in written.rglob("*.json*")}
    assert {file.relative_to(tmp_path): file.read_bytes() for file in again} == first


def test_a_result_without_its_folder_gives_aggregates_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    arguments = [
        "export",
        "eee",
        BASELINE,
        *WHO,
        "--model-id",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    ]
    assert main([*arguments, "-o", str(tmp_path)]) == 0
    files = capsys.readouterr().out.split()
    assert files == [str(file) for file in aggregates(tmp_path)]
    for aggregate in aggregates(tmp_path).values():
        jsonschema.Draft7Validator(AGGREGATE).validate(aggregate)
        assert "detailed_evaluation_results" not in aggregate
    assert mentions(caplog.text, "result.json")


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ([], "--organisation"),
        (WHO[:2], "--evaluator-relationship … first_party"),
        ([*WHO[:3], "friends"], "--evaluator-relationship=friends … first_party, third_party"),
        (WHO, "--model-id … smollm2_135m … ORG/NAME"),
        ([*WHO, "--model-id", "mine"], "--model-id=mine … ORG/NAME"),
        ([*WHO, "--model-id", "../mine"], "--model-id=../mine … ORG/NAME"),
        ([*WHO, "--source-url", "http://x"], "--source-url … eval-results … eee"),
        ([*WHO, "--model-id", "a/b", "-o", BASELINE], f"-o {BASELINE} … folder"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    facts: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", "eee", BASELINE, *arguments]) == UserError.exit_status
    err = capsys.readouterr().err
    assert mentions(err, facts)
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
