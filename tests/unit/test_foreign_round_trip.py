"""A run of ours that was exported is read back as what it was."""

import json
from pathlib import Path

import pytest

from harness.analysis.comparison import read_side
from harness.analysis.leaderboard.foreign import DECISIVE
from harness.cli.main import main
from harness.interop.export import Evaluator, write_eee, write_inspect
from harness.interop.readers.eee import EveryEvalEver
from harness.store.result import RunResult
from tests.facts import mentions
from tests.unit.export_runs import finished


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A run of tasks whose problems are here; of one answer a cut-off, of one an error."""
    return finished(
        tmp_path_factory.mktemp("runs") / "demo",
        recording="smollm2_demo",
        verdicts={
            "humaneval/HumanEval/23#0": {"status": "truncated"},
            "humaneval/HumanEval/154#0": {"status": "scorer_error"},
        },
    )


@pytest.fixture(scope="module", params=["inspect", "eee"])
def logs(
    run: RunResult, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> list[Path]:
    return _logs(request.param, run, tmp_path_factory.mktemp(request.param))


def _logs(kind: str, run: RunResult, folder: Path) -> list[Path]:
    if kind == "inspect":
        return write_inspect(run, folder)
    write_eee(run, folder, Evaluator("An institute", "third_party"), "an-org/a-model")
    return sorted(folder.glob("data/*/*/*/*.json"))


def test_verdicts_protocol_and_tokens_come_back(run: RunResult, logs: list[Path]) -> None:
    ours = read_side(str(run.run.folder), Path())
    for log in logs:
        side = read_side(str(log), Path())
        ((name, theirs),) = side.tasks.items()
        assert theirs.fields == ours.tasks[name].fields
        assert theirs.is_complete
        assert len(theirs.problems) >= 19
        for problem, found in theirs.problems.items():
            expected = ours.tasks[name].problems[problem]
            assert found.tally == expected.tally
            # What could not be graded has no answer there.
            graded = [(s, None if s == "scorer_error" else text) for s, text in expected.answers]
            assert found.answers == graded
            assert found.tokens == expected.tokens


def test_it_is_comparable_with_its_run_and_nothing_is_unknown(
    run: RunResult, logs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for log in logs:
        assert main(["compare", str(run.run.folder), str(log), "--json"]) == 0
        (candidate,) = json.loads(capsys.readouterr().out)["candidates"]
        assert candidate["protocol_unknown"] == {}
        assert candidate["protocol_mismatch"] == []
        (task,) = candidate["tasks"]
        assert (task["test"]["problems_better"], task["test"]["problems_worse"]) == (0, 0)


def test_on_the_leaderboard_a_log_of_ours_names_its_list_and_another_what_is_unknown(
    run: RunResult, logs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = Path(__file__).parent / "cases" / "foreign" / "inspect_math_mini.eval"
    arguments = [f"--log={file}" for file in (*logs, theirs)]
    command = ["leaderboard", f"--results-dir={run.run.folder.parent}", *arguments]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["foreign"]
    prints = run.manifest.protocol_fingerprints
    by_list = {row["fingerprint"]: row for row in found}
    assert by_list.keys() == {*prints.values(), None}
    accuracy = run.estimate("accuracy", "math_mini")
    ours = by_list[prints["math_mini"]]
    assert ours["accuracy"]["value"] == pytest.approx(accuracy.value)
    assert (ours["accuracy"]["low"], ours["unknown"]) == (pytest.approx(accuracy.low), [])
    row = by_list[None]
    assert (row["harness"], row["scorer"], row["errors"]) == ("inspect", "inspect match", 1)
    assert row["accuracy"]["value"] == 0.5
    assert {"prompt_sha256", "temperature", "fewshot"} <= set(row["unknown"])
    assert main(command) == 0
    text = capsys.readouterr().out
    assert mentions(text, "inspect_math_mini.eval … prompt_sha256 … inspect match")
    assert prints["math_mini"] in text


@pytest.mark.parametrize("kind", ["inspect", "eee"])
def test_an_exported_answer_gets_the_verdict_of_its_run_again(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the prompt opened the thought, and where the token limit cut the answer off."""
    unfinished = "Perhaps \\boxed{47}. No, let me look again."
    answers = {
        "math_mini/mini/geometry/2-a.json": (
            f"{unfinished}</think>\\boxed{{1}}",
            "stop",
            "incorrect",
        ),
        "math_mini/mini/number_theory/1-b.json": (unfinished, "stop", "no_answer"),
        "math_mini/mini/prealgebra/3-b.json": (unfinished, "length", "truncated"),
    }
    opened = finished(
        tmp_path / "run",
        recording="smollm2_demo",
        completions={
            f"{name}#0": {"text": text, "finish_reason": reason}
            for name, (text, reason, _) in answers.items()
        },
        verdicts={f"{name}#0": {"status": status} for name, (*_, status) in answers.items()},
        prompts={name: {"opened_think": True} for name in answers},
    )
    for log in _logs(kind, opened, tmp_path / "logs"):
        if "math" in str(log.relative_to(tmp_path)):
            assert main(["grade", "math", str(log)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["their_status"] for line in lines} >= {"incorrect", "no_answer", "truncated"}
    assert [line["status"] for line in lines] == [line["their_status"] for line in lines]


def test_an_aggregate_has_its_settings_also_without_what_only_we_write(
    run: RunResult, tmp_path: Path
) -> None:
    """A tool that copies records may drop what it does not know."""
    files = write_eee(run, tmp_path, Evaluator("An institute", "third_party"), "an-org/a-model")
    whole = next(file for file in files if file.suffix == ".json")
    raw = json.loads(whole.read_text())
    del raw["eval_library"]["additional_details"]
    whole.write_text(json.dumps(raw))
    protocol = run.manifest.config.protocol
    found = EveryEvalEver().read(whole).fields
    assert found == {
        "temperature": protocol.temperature,
        "top_p": protocol.top_p,
        "max_new_tokens": protocol.max_new_tokens,
        "fewshot": None,
    }


def test_every_decisive_field_is_one_of_a_protocol(run: RunResult) -> None:
    fields = run.manifest.protocol_fields["math_mini"].keys() | {"fewshot", "system_prompt"}
    assert set(DECISIVE) <= fields
