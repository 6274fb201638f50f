"""The commands as functions: what a notebook gets from ``import harness``."""

import inspect
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness.errors import ConfigError, NotComparableError, StoreError, UserError
from harness.io.jsonl import read_json
from harness.records import Estimate
from harness.runner.build_result import build_result
from harness.runner.summary import RUN_FIGURES
from harness.store.manifest import RunManifest
from harness.store.result import RunResult
from harness.store.run_files import Run
from tests.unit.report_runs import GOLDEN


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one finished run."""
    folder = tmp_path_factory.mktemp("results")
    run = folder / "runs" / GOLDEN.name
    shutil.copytree(GOLDEN, run)
    build_result(Run(run), read_json(run / "manifest.json", RunManifest)).write(run)
    return folder


@pytest.fixture(scope="module")
def recorded(results: Path) -> Path:
    return results / "runs" / GOLDEN.name


def test_importing_loads_nothing() -> None:
    program = (
        "import sys; before = set(sys.modules); import harness; harness.__version__; dir(harness); "
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    # `typing` and what it needs may be new to a bare Python
    assert {each for each in done.stdout.split() if each.startswith("harness")} == {"harness"}
    assert not {"pydantic", "hydra", "pandas", "torch"} & set(done.stdout.split())


def test_every_function_is_there_and_no_other() -> None:
    for name in set(harness.__all__) - {"__version__"}:
        assert callable(getattr(harness, name)), name
    with pytest.raises(AttributeError, match="rnu"):
        harness.rnu  # noqa: B018


def test_the_page_names_every_parameter() -> None:
    page = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
    shown = {
        name: [each.strip("*= ") for each in given.split(",")]
        for name, given in re.findall(r"^\| `(\w+)\((.*?)\)` \|", page, re.MULTILINE)
    }
    functions = {name: getattr(harness, name) for name in set(harness.__all__) - {"__version__"}}
    assert shown == {
        name: list(inspect.signature(function).parameters) for name, function in functions.items()
    }


def test_a_run_is_loaded_by_folder_file_and_id(results: Path, recorded: Path) -> None:
    by_folder = harness.load(recorded)
    assert harness.load(recorded / "result.json") == by_folder
    assert harness.load(recorded.name, results) == by_folder
    assert isinstance(by_folder.estimate("accuracy", by_folder.manifest.tasks[0].name), Estimate)
    assert len(by_folder.frame()) == len(by_folder.outcomes) == sum(1 for _ in by_folder.samples())


@pytest.fixture(scope="module")
def with_unknown(recorded: Path) -> RunResult:
    """A result whose first answer has no time of its first token."""
    result = harness.load(recorded)
    lost = result.outcomes[0].model_copy(update={"first_token_s": None, "extracted": None})
    return result.model_copy(update={"outcomes": (lost, *result.outcomes[1:])})


def unknown(result: RunResult) -> dict[str, int]:
    """How many values each column lacks."""
    columns = type(result.outcomes[0]).model_fields
    return {name: sum(getattr(each, name) is None for each in result.outcomes) for name in columns}


def test_a_frame_goes_to_arrow_as_it_is(with_unknown: RunResult, results: Path) -> None:
    import pyarrow

    frame = with_unknown.frame()
    table = pyarrow.Table.from_pandas(frame)
    assert table.column_names == list(frame.columns)
    assert table.schema.field("completion_tokens").type == pyarrow.int64()
    nulls = unknown(with_unknown)
    assert {name: table[name].null_count for name in nulls} == nulls
    assert nulls["first_token_s"] == 1
    assert table["status"].to_pylist() == [each.status for each in with_unknown.outcomes]
    board = harness.leaderboard(results).frame()
    assert pyarrow.Table.from_pandas(board).num_rows == len(board)


def test_a_frame_goes_to_polars_as_it_is(with_unknown: RunResult, results: Path) -> None:
    import polars

    frame = with_unknown.frame()
    wide = polars.from_pandas(frame)
    assert wide.columns == list(frame.columns)
    assert wide.schema["completion_tokens"] == polars.Int64
    nulls = unknown(with_unknown)
    assert {name: wide[name].null_count() for name in nulls} == nulls
    assert wide["request_id"].to_list() == [str(each.request_id) for each in with_unknown.outcomes]
    board = harness.leaderboard(results).frame()
    assert polars.from_pandas(board).height == len(board)


def test_what_is_not_there_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises((StoreError, UserError), match="nothing-here"):
        harness.load("nothing-here", tmp_path)


def test_runs_are_compared(recorded: Path) -> None:
    comparison = harness.compare(recorded, recorded, margin=2)
    (candidate,) = comparison.candidates
    assert candidate.is_same_run
    assert comparison.exit_status == 0


def test_protocols_that_differ_are_not_compared(recorded: Path, tmp_path: Path) -> None:
    other = json.loads((recorded / "result.json").read_text())
    other["manifest"]["config"]["protocol"]["max_new_tokens"] = 7
    for fields in other["manifest"]["protocol_fields"].values():
        fields["max_new_tokens"] = 7
    file = tmp_path / "other.json"
    file.write_text(json.dumps(other))
    with pytest.raises(NotComparableError):
        harness.compare(recorded, file)


def test_a_folder_of_runs_is_ranked(results: Path, recorded: Path) -> None:
    board = harness.leaderboard(results)
    result = harness.load(recorded)
    assert {each.task for each in board.lists} == {each.name for each in result.manifest.tasks}
    frame = board.frame()
    assert len(frame) == len(board.lists)
    assert set(frame["model"]) == {result.manifest.model.name}
    with pytest.raises(UserError, match="no-such-task"):
        harness.leaderboard(results, tasks=["no-such-task"])


def test_answers_are_graded_in_their_order() -> None:
    answers = [
        {"output": r"<think>2</think> It is \boxed{\frac{1}{2}}.", "gold": "0.5"},
        {"output": r"\boxed{3}", "gold": "4", "note": "left alone"},
    ]
    assert [each.status for each in harness.grade("math", answers, workers=1)] == [
        "correct",
        "incorrect",
    ]
    with pytest.raises(UserError, match=r"answer 2: gold"):
        harness.grade("math", [*answers[:1], {"output": "1"}], workers=1)


def test_programs_are_graded() -> None:
    programs = [{"program": "assert 1 + 1 == 2"}, {"program": "assert 1 + 1 == 3"}]
    found = [each.status for each in harness.grade("python", programs, workers=1)]
    assert found == ["correct", "incorrect"]


def test_a_run_returns_its_result_and_prints_nothing(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = [
        "experiment=demo",
        "engine=replay",
        f"engine.run={GOLDEN}",
        f"results_dir={tmp_path}",
    ]
    finished = harness.run(overrides=overrides)
    assert finished.status == 0
    assert finished.folder.parent == tmp_path / "runs"
    assert finished.result is not None
    again, before = (
        {each.request_id: each.status for each in result.outcomes}
        for result in (finished.result, harness.load(recorded))
    )
    assert again == before
    shown = capsys.readouterr()
    assert shown.out == ""
    assert not any(figure in shown.err for figure in RUN_FIGURES), "the table is the command's"
    assert callable(harness.run), "a room of this name would hide it"
    part = harness.run(tasks=["humaneval:20"], overrides=overrides)
    assert part.result is not None
    assert {each.task for each in part.result.outcomes} == {"humaneval"}


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["seed=x"], "seed"),
        (["no.such=1"], "no"),
        (["experiment=distill_table"], "sweep"),
    ],
)
def test_a_wrong_override_is_refused_by_name(
    overrides: list[str], key: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=key):
        harness.run(overrides=[*overrides, f"results_dir={tmp_path}"])


def test_workers_of_its_own_are_left_to_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shards=2"):
        harness.run(overrides=["experiment=demo", "shards=2", f"results_dir={tmp_path}"])


def test_a_program_that_uses_hydra_itself_keeps_its_state(tmp_path: Path) -> None:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        own = GlobalHydra.instance().hydra
        with pytest.raises(ConfigError, match="seed"):
            harness.run(overrides=["seed=x", f"results_dir={tmp_path}"])
        assert GlobalHydra.instance().is_initialized()
        assert type(GlobalHydra.instance().hydra) is type(own)


@pytest.mark.parametrize(("given", "status"), [("", 130), ('{"config"', 130), ('{"parent": 1}', 1)])
def test_a_child_that_is_not_told_its_run_says_why(given: str, status: int) -> None:
    command = [sys.executable, "-m", "harness", "run", "--composed"]
    done = subprocess.run(command, input=given, check=False, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert ("version" in done.stderr) == (status == 1)
