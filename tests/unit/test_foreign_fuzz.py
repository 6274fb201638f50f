"""Damaged logs of other harnesses end with one line that names the file, never with a traceback."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.analysis.comparison.side import Side, side_of_log
from harness.cli.main import main
from harness.errors import HarnessError
from harness.interop.readers import harness_of, open_log
from harness.interop.readers.zipped import MAX_MEMBER_BYTES
from tests.facts import mentions

CASES = Path(__file__).parent / "cases"
FOREIGN = CASES / "foreign"
MATH = CASES / "samples_minerva_math500_2026-11-22T00-48-36.262234.jsonl"
EEE = next((FOREIGN / "eee").glob("*_samples.jsonl"))
REVIEWS = next(FOREIGN.glob("evalscope/reviews/*/*.jsonl"))
LOGS = [
    MATH,
    CASES / "samples_humaneval_2026-11-22T00-48-24.655419.jsonl",
    CASES / "evalplus_eval_results.json",
    FOREIGN / "inspect_math_mini.eval",
    FOREIGN / "inspect_gsm8k.eval",
    REVIEWS,
    EEE,
]
LOTS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, True, -1, 0.5, 1e308, "", "x", [], {}, [[]], {"a": 1}, 10**30]
)


def read_or_one_line(file: Path) -> Side | None:
    """The side, or None where a line says why not."""
    if harness_of(file) is None:
        return None
    try:
        return side_of_log(open_log(file))
    except HarnessError as error:
        text = str(error)
        assert file.name in text or "task" in text
        assert "\n" not in text
        return None


@pytest.fixture(autouse=True)
def real_data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(shared_data))


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
@LOTS
@given(data=st.data())
def test_cut_off_and_flipped_bytes(log: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(log.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for place in data.draw(st.lists(st.integers(0, max(len(content) - 1, 0)), max_size=3)):
        if content:
            content[place] = data.draw(st.integers(0, 255))
    file = tmp_path / log.name
    file.write_bytes(content)
    read_or_one_line(file)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value[:3])
    for key, each in inner:
        yield from _places(each, (*path, key))


def _changed(value: Any, path: tuple[Any, ...], odd: Any, *, removed: bool) -> Any:
    copy = json.loads(json.dumps(value))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if removed:
        del place[path[-1]]
    else:
        place[path[-1]] = odd
    return copy


@pytest.mark.parametrize("log", [MATH, REVIEWS, EEE], ids=lambda log: log.name)
@LOTS
@given(data=st.data())
def test_keys_that_are_missing_or_hold_something_else(
    log: Path, tmp_path: Path, data: st.DataObject
) -> None:
    first, *others = log.read_text(encoding="utf-8").splitlines()
    path = data.draw(st.sampled_from(sorted(_places(json.loads(first)), key=str)))
    row = _changed(json.loads(first), path, data.draw(ODD), removed=data.draw(st.booleans()))
    file = tmp_path / log.name
    file.write_text("\n".join([json.dumps(row), *others]), encoding="utf-8")
    read_or_one_line(file)


@pytest.mark.parametrize("member", ["header.json", "samples/a_epoch_1.json"])
@LOTS
@given(data=st.data())
def test_members_of_an_inspect_log_with_other_keys(
    member: str, tmp_path: Path, data: st.DataObject
) -> None:
    content = {"header.json": HEADER, "samples/a_epoch_1.json": SAMPLE}
    path = data.draw(st.sampled_from(sorted(_places(content[member]), key=str)))
    content[member] = _changed(
        content[member], path, data.draw(ODD), removed=data.draw(st.booleans())
    )
    read_or_one_line(zipped(tmp_path / "log.eval", content))


HEADER: dict[str, Any] = {
    "version": 2,
    "status": "success",
    "eval": {
        "task": "math_mini",
        "model": "m",
        "dataset": {"name": "math_mini"},
        "model_generate_config": {"temperature": 0.5},
        "packages": {"inspect_ai": "0.3.285"},
        "metadata": {},
        "scorers": [{"name": "match"}],
    },
    "plan": {"config": {"max_tokens": 5, "stop_seqs": ["a"]}},
    "results": {"scores": [{"name": "match"}]},
}
SAMPLE: dict[str, Any] = {
    "id": "mini/algebra/1-a.json",
    "epoch": 1,
    "input": "?",
    "target": "125",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "?"}]}],
    "output": {
        "choices": [{"message": {"role": "assistant", "content": "5"}, "stop_reason": "stop"}],
        "usage": {"output_tokens": 1},
        "time": 0.5,
    },
    "scores": {"match": {"value": "C", "answer": "5"}},
    "metadata": {},
    "error": None,
    "attachments": {},
}


def zipped(file: Path, content: dict[str, Any]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in content.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return file


# --- each kind, with what its line names --------------------------------------------------------


def said(log: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["grade", "math", str(log)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def changed_header(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(json.dumps(HEADER))
    change(header)
    return {"header.json": header, "samples/a_epoch_1.json": SAMPLE}


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        (lambda h: h.update(version=3), "version: 3 … 2"),
        (lambda h: h.update(status="cancelled"), "status: 'cancelled' … 'success'"),
        (lambda h: h.update(invalidated=True), "invalidated: True"),
        (lambda h: h.update(results=None), "results.scores"),
        (lambda h: h["eval"].update(task="sums", dataset={}), "sums … --task"),
        (lambda h: h["eval"].pop("model"), "eval.model"),
        (lambda h: h["plan"]["config"].update(max_tokens="5"), "plan.config.max_tokens: '5'"),
    ],
)
def test_an_inspect_log_of_another_kind(
    change: Callable[[dict[str, Any]], Any],
    facts: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = zipped(tmp_path / "log.eval", changed_header(change))
    assert mentions(said(file, capsys), f"log.eval … {facts}")


def test_an_inspect_log_that_is_not_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.eval"
    cut.write_bytes((FOREIGN / "inspect_gsm8k.eval").read_bytes()[:9000])
    assert "cut.eval" in said(cut, capsys)
    unfinished = zipped(tmp_path / "unfinished.eval", {"_journal/start.json": HEADER})
    assert mentions(said(unfinished, capsys), "unfinished.eval … header.json")
    sample = {**SAMPLE, "scores": {"match": {"value": 0.5}}}
    odd = zipped(tmp_path / "odd.eval", {"header.json": HEADER, "samples/a.json": sample})
    assert mentions(said(odd, capsys), "odd.eval … samples/a.json … scores.match.value: 0.5")


def test_a_zip_that_unpacks_to_more_than_a_log_is_refused_before_it_is_unpacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bomb.eval"
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("header.json", "w", force_zip64=True) as stream,
    ):
        for _ in range(MAX_MEMBER_BYTES // 2**24 + 1):
            stream.write(bytes(2**24))
    assert file.stat().st_size < 2**20
    assert mentions(said(file, capsys), "bomb.eval … header.json … 285,212,672 … 268,435,456")


def test_eee_files_of_another_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (FOREIGN / "eee").iterdir():
        shutil.copy(file, tmp_path / file.name)
    rows, whole = tmp_path / EEE.name, tmp_path / EEE.name.replace("_samples.jsonl", ".json")
    text = rows.read_text(encoding="utf-8")
    rows.write_text(text.replace('"18"', '"19"', 1), encoding="utf-8")
    assert mentions(said(whole, capsys), f"{rows.name} … sha256")
    rows.write_text(text.replace('"0.3.0"', '"0.2.2"', 1), encoding="utf-8")
    assert mentions(said(rows, capsys), f"{rows.name} … line 1 … schema_version: '0.2.2' … '0.3.0'")
    rows.unlink()
    assert mentions(said(whole, capsys), f"{whole.name} … {rows.name}")
    old = json.loads((FOREIGN / "eee" / whole.name).read_text(encoding="utf-8"))
    whole.write_text(json.dumps({**old, "schema_version": "0.2.2"}), encoding="utf-8")
    assert mentions(said(whole, capsys), f"{whole.name} … schema_version: '0.2.2' … '0.3.0'")


def test_scores_of_whole_tasks_are_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    (results,) = (FOREIGN / "lm_eval").glob("results_*.json")
    assert mentions(said(results, capsys), f"{results.name} … samples_")
