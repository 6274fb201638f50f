"""The result object: what is looked up in it, and results that older versions wrote."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from harness.errors import StoreError
from harness.records import Estimate, VerdictStatus
from harness.runner.build_result import build_result
from harness.store.result import RunResult, Tally, load
from harness.store.run_files import Run

REPOSITORY = Path(__file__).resolve().parents[2]
BASELINES = sorted((REPOSITORY / "results" / "baselines").glob("*.json"))
GOLDEN = sorted((REPOSITORY / "tests" / "golden" / "runs").glob("*/manifest.json"))
FAILED: set[VerdictStatus] = {"scorer_error", "generation_error"}
UNBOUNDED = "a way; no upper bound: a reason"
"""Of a method, as older versions wrote it."""


@pytest.fixture(params=GOLDEN, ids=lambda file: file.parent.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A recorded run that has its result."""
    made = shutil.copytree(request.param.parent, tmp_path / "run")
    run = Run(made)
    build_result(run, run.read_manifest()).write(made)
    return made


@pytest.mark.parametrize("file", BASELINES, ids=lambda file: file.stem)
def test_a_committed_baseline_is_read(file: Path) -> None:
    result = load(file)
    assert result.manifest.engine is not None
    for task in result.manifest.tasks:
        accuracy = result.estimate("accuracy", task.name)
        tallies = result.tallies(task.name).values()
        assert accuracy.n == sum(1 for each in tallies if each.samples)
        shares = [each.solved / each.samples for each in tallies if each.samples]
        assert accuracy.value == pytest.approx(sum(shares) / len(shares))


@pytest.mark.parametrize("file", BASELINES, ids=lambda file: file.stem)
def test_a_file_without_the_keys_that_came_later_is_read(file: Path, tmp_path: Path) -> None:
    """Each of these keys has a default, so leaving it out gives the oldest file there can be."""
    new = load(file)
    old = tmp_path / "old.json"
    oldest = new.model_dump(mode="json", exclude_defaults=True)
    old.write_text(json.dumps(oldest), encoding="utf-8")
    assert load(old) == new
    first = {key: value for key, value in oldest.items() if key not in {"budget_curve", "failures"}}
    old.write_text(json.dumps(first), encoding="utf-8")
    assert load(old).budget_curve == ()
    assert load(old).estimates == new.estimates


@pytest.mark.parametrize("file", BASELINES, ids=lambda file: file.stem)
def test_why_an_older_file_has_no_value_is_read_as_a_field(file: Path) -> None:
    written = json.loads(file.read_text(encoding="utf-8"))["estimates"]
    read = load(file).estimates
    for old, new in zip(written, read, strict=True):
        assert (new.value is None) == (new.undefined is not None)
        assert new.value is not None or old["method"].startswith(f"undefined: {new.undefined}")
        assert not {"undefined: ", "no interval: "} & set(re.split(r"(?<=: )|(?<=; )", new.method))
    assert any(each.undefined for each in read)
    assert any(each.missing_end for each in read)


@pytest.mark.parametrize(
    ("value", "old", "method", "undefined", "missing_end"),
    [
        (None, "undefined: a reason", "", "a reason", None),
        (None, "undefined: a reason; a way (x)", "a way (x)", "a reason", None),
        (None, "a way, undefined: a reason; 3 more", "a way; 3 more", "a reason", None),
        (1.0, "a way; no interval: a reason; 3 more", "a way; 3 more", None, "a reason"),
        (1.0, UNBOUNDED, "a way", None, "a reason"),
        (1.0, "a way; no interval here", "a way; no interval here", None, None),
    ],
)
def test_a_reason_inside_an_older_method_is_read_as_a_field(
    value: float | None, old: str, method: str, undefined: str | None, missing_end: str | None
) -> None:
    fields = {"metric": "accuracy", "value": value, "unit": "fraction", "n": 4}
    found = Estimate.model_validate({**fields, "method": old})
    assert (found.method, found.undefined, found.missing_end) == (method, undefined, missing_end)
    assert Estimate.model_validate_json(found.model_dump_json()) == found


def test_reasons_are_written_only_where_there_are_any() -> None:
    known = Estimate(metric="accuracy", value=0.5, unit="fraction", n=4, method="mean")
    assert not {"undefined", "missing_end"} & known.model_dump().keys()


def test_a_newer_file_is_refused_with_its_version(tmp_path: Path) -> None:
    document = json.loads(BASELINES[0].read_text(encoding="utf-8"))
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps({**document, "schema_version": 2}), encoding="utf-8")
    with pytest.raises(StoreError, match=r"newer\.json.*version 2"):
        load(newer)


def test_a_run_is_read_by_its_folder_and_by_its_file(folder: Path) -> None:
    assert load(folder) == load(folder / "result.json")
    assert load(folder) == build_result(Run(folder), Run(folder).read_manifest())


def test_samples_are_read_with_texts_and_verdicts(folder: Path) -> None:
    result = load(folder)
    samples = list(result.samples())
    assert [each.completion.request_id for each in samples] == [
        each.request_id for each in result.outcomes
    ]
    assert [each.verdict.status for each in samples] == [each.status for each in result.outcomes]
    texts = {each.request_id: each.text for each in Run(folder).read_completions()}
    assert {each.completion.request_id: each.completion.text for each in samples} == texts
    assert any(texts.values())


def test_a_result_that_lies_alone_has_no_samples(folder: Path, tmp_path: Path) -> None:
    alone = shutil.copy(folder / "result.json", tmp_path / "alone.json")
    with pytest.raises(StoreError, match="folder"):
        load(Path(alone)).samples()


def test_tallies_keep_errors_apart() -> None:
    result = load(BASELINES[0])
    lost = result.outcomes[0].model_copy(update={"status": "generation_error"})
    result = result.model_copy(update={"outcomes": (lost, *result.outcomes)})
    assert result.tallies()[lost.problem_id].errors == 1
    statuses = Counter(each.status for each in result.outcomes)
    whole = [sum(column) for column in zip(*result.tallies().values(), strict=True)]
    assert Tally(*whole) == Tally(
        solved=statuses["correct"],
        samples=sum(statuses[status] for status in statuses.keys() - FAILED),
        errors=sum(statuses[status] for status in FAILED),
    )


def test_an_estimate_that_a_result_lacks_is_unknown() -> None:
    result = load(BASELINES[0])
    missing = result.estimate("made_up", "math_mini")
    assert (missing.value, missing.n, missing.task) == (None, 0, "math_mini")
    assert result.estimate("accuracy").value is None  # of the whole run there is none
    assert all(result.estimate(each.metric, each.task) is each for each in result.estimates)


def test_a_frame_has_a_row_for_each_sample_and_unknown_is_none_of_its_numbers() -> None:
    result = load(BASELINES[0])
    unknown = result.outcomes[0].model_copy(update={"completion_tokens": None})
    result = result.model_copy(update={"outcomes": (unknown, *result.outcomes[1:])})
    frame = result.frame()
    assert list(frame.request_id) == [each.request_id for each in result.outcomes]
    assert frame.completion_tokens.isna().sum() == 1
    assert frame.completion_tokens.sum() == sum(
        each.completion_tokens or 0 for each in result.outcomes
    )
    by_task = frame.groupby("task").size().to_dict()
    assert by_task == Counter(each.request_id.split("/")[0] for each in result.outcomes)
    assert isinstance(RunResult.model_validate(result.model_dump()).frame(), type(frame))
