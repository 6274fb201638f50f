"""Problems of one's own arrive as they were written, or the faulty row is named."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pyarrow.lib import DataType, DictionaryType

from harness.errors import TaskError
from harness.io import paths
from harness.records import MathReference, Problem
from harness.tasks import Selection, load_task
from tests.facts import mentions, narrowed

Rows = list[dict[str, str]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[Problem, ...]]:
    """Loads the task ``mine`` from a file; the file's path may be absolute."""
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    folder = tmp_path / "tasks" / "mine"
    folder.mkdir(parents=True)
    monkeypatch.setattr(paths, "TASKS_DIR", folder.parent)

    def call(file: str | Path, **changes: Any) -> tuple[Problem, ...]:
        fields = {"problem_id": "id", "question": "q", "answer": "a"}
        definition = {
            "name": "mine", "version": 1, "description": "d", "source": "s", "licence": "MIT",
            "prompt": "{question}", "scorer": "math_answer", "fields": fields,
            "sources": [{"kind": "embedded", "file": str(file)}], **changes,
        }  # fmt: skip
        (folder / "task.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
        return load_task(Selection("mine", None)).problems

    return call


def as_jsonl(rows: Rows, folder: Path) -> Path:
    file = folder / "p.jsonl"
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    return file


def as_json(rows: Rows, folder: Path) -> Path:
    file = folder / "p.json"
    file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return file


def as_csv(rows: Rows, folder: Path) -> Path:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    file = folder / "p.csv.gz"
    file.write_bytes(gzip.compress(stream.getvalue().encode("utf-8-sig")))
    return file


def as_tsv(rows: Rows, folder: Path) -> Path:
    file = folder / "p.tsv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    return file


def as_parquet(rows: Rows, folder: Path) -> Path:
    file = folder / "p.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


def as_saved(rows: Rows, folder: Path) -> Path:
    datasets.disable_progress_bars()
    saved = folder / "saved"
    datasets.DatasetDict({"test": datasets.Dataset.from_list(rows)}).save_to_disk(str(saved))
    return saved


WRITERS = [as_jsonl, as_json, as_csv, as_tsv, as_parquet, as_saved]
AWKWARD = [
    "2024-01-05", "2024-01-05T10:00:00Z", "10:30", "9007199254740993", "123456789012345678901234",
    "1e5", "0.50", "007", "+1", "-0", "null", "None", "NA", "NaN", "nan", "inf", "true", "False",
    "[1, 2]", '{"a": 1}', '"', "'", "a,b;c\td", "a\nb", "a\r\nb", "a\rb", "\u2028x", "\x85y", "#1",
    "\ufeffz", "日本é😀", "\\frac{1}{2}", "\x00n", "1_000", "1,000", "50%", "0x1F", " x ",
]  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.from_regex(r"[0-9.eE+-]{1,25}", fullmatch=True),
).filter(lambda text: bool(text.strip()))


@pytest.mark.parametrize("write", WRITERS)
@settings(
    deadline=None,
    derandomize=True,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(texts=st.lists(TEXTS, min_size=1, max_size=6))
@example(texts=AWKWARD)
def test_every_text_arrives_as_it_was_written(
    load: Callable[..., tuple[Problem, ...]],
    tmp_path: Path,
    write: Callable[..., object],
    texts: list[str],
) -> None:
    rows = [{"id": f"{i:04}", "q": text, "a": text} for i, text in enumerate(texts)]
    problems = load(write(rows, tmp_path))
    assert [each.question for each in problems] == texts
    assert [each.reference for each in problems] == [
        MathReference(answer=text.strip()) for text in texts
    ]


NUMBERS = ["9007199254740993", "123456789012345678901234", "0.5", "0.50", "1e22", "-0.0", "42"]


def test_numbers_in_json_are_text_as_they_are_spelled(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path
) -> None:
    lines = [f'{{"id": {i}, "q": "q", "a": {number}}}' for i, number in enumerate(NUMBERS)]
    (tmp_path / "p.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
    answers = [
        narrowed(MathReference, each.reference).answer for each in load(tmp_path / "p.jsonl")
    ]
    assert answers == NUMBERS


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([0.1, 0.25], pa.float32(), ["0.1", "0.25"]),
        ([0.1, 1e22], pa.float64(), ["0.1", "1e+22"]),
        ([2**63 - 1, 7], pa.int64(), ["9223372036854775807", "7"]),
        ([True, False], pa.bool_(), ["true", "false"]),
        (["x", "2024-01-05"], pa.dictionary(pa.int32(), pa.string()), ["x", "2024-01-05"]),
    ],
)
def test_numbers_in_parquet_are_text(
    load: Callable[..., tuple[Problem, ...]],
    tmp_path: Path,
    values: list[float | bool | str],
    kind: DataType | DictionaryType,
    texts: list[str],
) -> None:
    columns = {"id": ["a", "b"], "q": ["q", "q"], "a": pa.array(values, kind)}
    parquet.write_table(pa.table(columns), tmp_path / "p.parquet")
    assert [
        narrowed(MathReference, each.reference).answer for each in load(tmp_path / "p.parquet")
    ] == texts


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_missing_number_in_parquet_is_no_answer(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path, kind: DataType, missing: float | None
) -> None:
    answers = pa.array([0.5, missing], kind)
    if kind == pa.float16():
        answers = pa.array([np.float16(0.5), missing and np.float16(missing)], kind)
    columns = {"id": ["1", "2"], "q": ["q", "q"], "a": answers}
    parquet.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(TaskError, match=r"p\.parquet: row 1: 'a' is null"):
        load(tmp_path / "p.parquet")


def test_columns_without_a_name_may_be_several(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path
) -> None:
    (tmp_path / "p.csv").write_text("id,q,a,,\n1,q,2,,\n", encoding="utf-8")
    assert [
        narrowed(MathReference, each.reference).answer for each in load(tmp_path / "p.csv")
    ] == ["2"]


GOOD = b'{"id": "1", "q": "q", "a": "1"}\n'
DAMAGED = bytearray(gzip.compress(GOOD))
DAMAGED[10] ^= 0xFF  # the first byte after the header


@pytest.mark.parametrize(
    ("name", "data", "facts"),
    [
        ("p.jsonl", b"", "p.jsonl … problems"),
        ("p.jsonl", GOOD + b'{"id": "2", "q": "q", "a": null}\n', "p.jsonl:2: 'a' … null"),
        ("p.jsonl", GOOD + b'{"id": "2", "q": " ", "a": "1"}', "p.jsonl:2: 'q' … empty"),
        ("p.jsonl", GOOD + b'\n{"id": "2", "q": "q"}', "p.jsonl:3 … column 'a'"),
        ("p.jsonl", GOOD + b'{"id": "2", "q": "q", "a": ["1"]}', "p.jsonl:2: 'a' … list"),
        ("p.jsonl", GOOD + b'{"id": "2", "q": {}, "a": "1"}', "p.jsonl:2: 'q' … dict"),
        ("p.jsonl", GOOD + b"[1]\n", "p.jsonl:2: … object"),
        ("p.jsonl", GOOD + b'{"id": 2, "q": "', "p.jsonl:2: … JSON: "),
        ("p.jsonl", GOOD + b'{"id": 2, "id": 3}', "p.jsonl:2: … JSON: 'id' … twice"),
        ("p.jsonl", GOOD + b'{"q": "\xe9"}', "p.jsonl:2: … UTF-8 … 0xe9"),
        ("p.jsonl", GOOD + b'{"id":"2","q":"\\ud800","a":"1"}', "p.jsonl:2: 'q' … surrogate"),
        ("p.jsonl", GOOD + GOOD, "p.jsonl:2: … mine/1 … twice"),
        ("p.jsonl", "{}".encode("utf-16"), "p.jsonl:1: … UTF-8 … 0xff"),
        ("p.jsonl", b"\x1f\x8b\x00", "p.jsonl: "),
        ("p.json", b'[{"id": "1", "q": "q", "a": ""}]', "p.json: row 0: 'a' … empty"),
        ("p.json", b"[", "p.json: … JSON: "),
        ("p.jsonl", DAMAGED, "p.jsonl: "),
        ("p.csv", b"", "p.csv … problems"),
        ("p.csv", b"id,q,a,a\n1,q,1,2\n", "p.csv:1: … column 'a' … twice"),
        ("p.csv", b'id,q,a\n1,"two\nlines",3\n2,q\n', "p.csv:4: … 2 cells"),
        ("p.csv", b'id,q,a\n1,"q"x,3\n', "p.csv:2: … CSV: "),
        ("p.csv", b"id,q,a\n1,q,\n", "p.csv:2: 'a' … empty"),
        ("p.csv", b"id;q;a\n1;q;1\n", "p.csv:2 … column 'id' … id;q;a"),
        ("p.csv", b"id,q,a\n1,\xe9,1\n", "p.csv:2: … UTF-8"),
        ("p.parquet", b"PAR1 nothing", "p.parquet: … Parquet: "),
        ("p.xlsx", b"PK", "p.xlsx: … .xlsx … .jsonl, "),
    ],
)
def test_a_faulty_row_is_named_by_file_and_line(
    load: Callable[..., tuple[Problem, ...]],
    tmp_path: Path,
    name: str,
    data: bytes | bytearray,
    facts: str,
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TaskError) as error:
        load(tmp_path / name)
    assert str(error.value).startswith("task mine: ")
    assert mentions(str(error.value), facts)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [None, date(2024, 1, 5), datetime(2024, 1, 5), [1], b"x"])  # noqa: DTZ001
def test_a_parquet_row_without_text_is_named(
    load: Callable[..., tuple[Problem, ...]],
    tmp_path: Path,
    value: date | datetime | list[int] | bytes | None,
) -> None:
    columns = {"id": ["1", "2"], "q": ["q", "q"], "a": [None, value]}
    parquet.write_table(pa.table(columns), tmp_path / "p.parquet")
    with pytest.raises(TaskError, match=r"^task mine: .*p\.parquet: row 0: 'a' is null"):
        load(tmp_path / "p.parquet")
    parquet.write_table(pa.table({**columns, "a": [value, value]}), tmp_path / "p.parquet")
    with pytest.raises(TaskError, match=r"^task mine: .*p\.parquet: row 0: 'a' (is null|holds a )"):
        load(tmp_path / "p.parquet")


def test_a_saved_data_set_with_several_splits_names_them(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path
) -> None:
    rows = [{"id": "1", "q": "q", "a": "1"}]
    split = datasets.Dataset.from_list(rows)
    datasets.DatasetDict({"a": split, "b": split}).save_to_disk(str(tmp_path / "two"))
    with pytest.raises(TaskError, match=r"two: .*\ba, b\b"):
        load(tmp_path / "two")
    assert len(load(tmp_path / "two" / "b")) == 1
    with pytest.raises(TaskError, match="save_to_disk"):
        load(tmp_path)


def test_an_answer_without_its_mark_is_named(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path
) -> None:
    (tmp_path / "p.jsonl").write_bytes(GOOD)
    fields = {"question": "q", "answer": "a", "answer_after": "####"}
    with pytest.raises(TaskError, match=r"p\.jsonl:1: 'a' .*'####'"):
        load(tmp_path / "p.jsonl", fields=fields)


def test_what_only_sorts_problems_may_be_missing(
    load: Callable[..., tuple[Problem, ...]], tmp_path: Path
) -> None:
    lines = [
        {"id": "1", "q": "q", "a": "1", "s": None, "l": None},
        {"id": "2", "q": "q", "a": "1", "s": 7, "l": "Level ²"},
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    fields = {"problem_id": "id", "question": "q", "answer": "a", "subject": "s", "level": "l"}
    problems = load(tmp_path / "p.jsonl", fields=fields)
    assert [(each.subject, each.level) for each in problems] == [(None, None), ("7", None)]
