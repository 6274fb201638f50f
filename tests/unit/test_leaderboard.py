"""The leaderboard: what is in it, in which order, and that its index is never out of date."""

import csv
import io
import json
import logging
import os
import re
import resource
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.leaderboard import rank, read_rows
from harness.analysis.leaderboard.index import index_file
from harness.cli.main import _Lines, main
from harness.errors import StoreError, UserError
from harness.report.leaderboard import print_leaderboard
from tests.facts import known, mentions
from tests.unit.leaderboard_results import BASELINES, write_result


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


def board(results: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What the command leaves on stdout, as JSON."""
    assert main(["leaderboard", "--json", "--results-dir", str(results), *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def standings(results: Path) -> dict[str, str]:
    (only,) = rank(read_rows(results).rows)
    return {each.row.run_id: each.shown for each in only.standings}


# --- rows -------------------------------------------------------------------------------------


def test_a_row_says_what_the_result_says(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "baselines").mkdir(parents=True)
    shutil.copy(BASELINES / "smollm2_135m_standard_transformers.json", results / "baselines")
    code, maths = board(results, capsys)["lists"]
    assert (code["task"], maths["task"]) == ("humaneval", "math500")
    assert code["protocol"] == (
        "protocol greedy: all 164 problems, 1 sample each, temperature 0, top_p 1, top_k off, "
        "at most 400 tokens, graded by python_tests@1"
    )
    assert "100 of 500 problems" in maths["protocol"]
    (row,) = code["rows"]
    content = json.loads(
        (BASELINES / "smollm2_135m_standard_transformers.json").read_text(encoding="utf-8")
    )
    statuses = [
        each["status"] for each in content["outcomes"] if each["request_id"].startswith("human")
    ]
    assert row["truncated"] == statuses.count("truncated") > 0
    assert row["errors"] == 0
    assert row["accuracy"] == statuses.count("correct") / len(statuses)
    assert row["samples"] == len(statuses)
    assert row["weights"] == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert row["started_at"] == "2026-11-21T22:44:43.935869Z"
    costs = [row[f"usd_per_solved_rented{end}"] for end in ("", "_low", "_high")]
    assert costs == pytest.approx([0.001484, 0.000850, 0.003564], abs=1e-6)
    # Nothing of maths was solved and no energy was measured: unknown, not 0.
    assert maths["rows"][0]["usd_per_solved_rented"] is None
    assert row["energy_joules"] is row["usd_per_solved_owned"] is None


def test_settings_are_those_that_are_not_the_defaults(results: Path) -> None:
    write_result(results, "usual")
    write_result(results, "other", args={"quantization": "fp8", "max_num_seqs": 8})
    settings = {row.run_id: row.settings for row in read_rows(results).rows}
    assert settings == {"usual": "", "other": "max_num_seqs=8, quantization=fp8"}


# --- ranks ------------------------------------------------------------------------------------


def test_runs_that_cannot_be_told_apart_share_their_ranks(results: Path) -> None:
    for name, solved in (("best", 150), ("good", 100), ("same", 98), ("bad", 20)):
        write_result(results, name, solved)
    assert standings(results) == {"best": "1", "good": "2-3", "same": "2-3", "bad": "4"}


def test_overlap_is_no_equality_so_ranges_may_chain(results: Path) -> None:
    # a overlaps b and b overlaps c, but a lies wholly above c.
    for name, solved in (("a", 110), ("b", 95), ("c", 80)):
        write_result(results, name, solved)
    assert standings(results) == {"a": "1-2", "b": "1-3", "c": "2-3"}


def test_protocols_are_never_in_one_list(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(results, "short", 100, limit_tokens=400)
    write_result(results, "long", 150, limit_tokens=32_768)
    lists = board(results, capsys)["lists"]
    assert [[row["run_id"] for row in each["rows"]] for each in lists] == [["short"], ["long"]]
    assert all(row["rank_first"] == row["rank_last"] == 1 for e in lists for row in e["rows"])
    assert "at most 32,768 tokens" in lists[1]["protocol"]


def test_an_unknown_accuracy_has_no_rank_and_comes_last(results: Path) -> None:
    write_result(results, "known", 1)
    file = write_result(results, "unknown")
    text = json.loads(file.read_text("utf-8"))
    for estimate in text["estimates"]:
        estimate |= {"value": None, "low": None, "high": None}
    file.write_text(json.dumps(text), "utf-8")
    assert standings(results) == {"known": "1", "unknown": "-"}
    assert list(standings(results)) == ["known", "unknown"]


def test_a_protocol_that_says_less_than_ours_ends_nothing(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_result(results, "a")
    text = json.loads(file.read_text("utf-8"))
    text["manifest"]["protocol_fields"]["humaneval"] = {"temperature": None, "top_p": "much"}
    file.write_text(json.dumps(text), "utf-8")
    (only,) = board(results, capsys)["lists"]
    assert (
        "temperature unknown, top_p unknown, top_k off, at most unknown tokens"
        in (only["protocol"])
    )


def test_what_errors_left_out_is_loud(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_result(results, "a")
    text = json.loads(file.read_text("utf-8"))
    for estimate in text["estimates"]:
        if estimate["task"] == "humaneval" and estimate["metric"] == "share.generation_error":
            estimate["value"] = 20 / 164
        if estimate["task"] == "humaneval" and estimate["metric"] == "accuracy":
            estimate["n"] = 144
    file.write_text(json.dumps(text), "utf-8")
    assert main(["leaderboard", "--results-dir", str(results)]) == 0
    row = capsys.readouterr().out
    assert "144 of 164" in row
    assert "⚠ 20" in row


# --- the index --------------------------------------------------------------------------------


def test_only_what_changed_is_read_again(results: Path) -> None:
    write_result(results, "a", 10)
    changed = write_result(results, "b", 10)
    gone = write_result(results, "c", 10)
    assert read_rows(results).read == 3
    assert read_rows(results).read == 0
    write_result(results, "b", 150)
    os.utime(changed, ns=(1, 1))
    shutil.rmtree(gone.parent)
    again = read_rows(results)
    assert again.read == 1
    assert {row.run_id: round(known(row.accuracy) * 164) for row in again.rows} == {
        "a": 10,
        "b": 150,
    }


def test_the_index_holds_for_a_folder_however_it_is_named(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(results, "a")
    read_rows(results)
    monkeypatch.chdir(results.parent)
    assert read_rows(results.relative_to(results.parent)).read == 0


def test_a_damaged_index_is_made_anew(results: Path) -> None:
    write_result(results, "a")
    read_rows(results)
    index_file(results).write_bytes(b"PAR1 no more")
    assert [row.run_id for row in read_rows(results).rows] == ["a"]
    assert read_rows(results).read == 0


def test_without_a_place_for_the_index_all_is_read_each_time(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(results, "a")
    (tmp_path / "file").touch()
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert [read_rows(results).read for _ in range(2)] == [1, 1]


def test_many_at_once_all_see_all(results: Path) -> None:
    for number in range(30):
        write_result(results, f"run_{number:02}")
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(len(read_rows(results).rows))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [30] * 4
    assert read_rows(results).read == 0
    assert [file.name for file in index_file(results).parent.iterdir()] == [
        index_file(results).name
    ]


# --- what is left out -------------------------------------------------------------------------


def test_what_is_left_out_is_named_and_ends_nothing(
    results: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    good = write_result(results, "good")
    write_result(results, "failed", status="failed")
    write_result(results, "newer", schema_version=2)
    torn = write_result(results, "torn")
    torn.write_text(torn.read_text("utf-8")[:5000], "utf-8")
    (results / "runs" / "stopped").mkdir()
    (results / "baselines").mkdir()
    shutil.copy(good, results / "baselines" / "copy.json")
    (results / "baselines" / "list.json").write_text("[]", "utf-8")
    for _ in range(2):  # fresh and from the index
        caplog.clear()
        shown = board(results, capsys)
        assert [row["file"] for each in shown["lists"] for row in each["rows"]] == [
            "runs/good/result.json"
        ]
        reasons = {each["file"]: each["reason"] for each in shown["left_out"]}
        for file, facts in {
            "runs/stopped": "result.json",
            "runs/failed/result.json": "failed",
            "runs/newer/result.json": "version 2 … 1",
            "runs/torn/result.json": "damaged: … JSON: EOF",
            "baselines/list.json": "damaged: ",
            "baselines/copy.json": "copy … runs/good/result.json",
        }.items():
            assert mentions(reasons[file], facts)
        assert len(reasons) == 6
        for file in reasons:
            assert f"left out 1: {file}: " in caplog.text


def test_a_folder_without_results_says_so(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError, match=rf"--results-dir {results}: "):
        read_rows(results)
    results.mkdir()
    assert main(["leaderboard", "--results-dir", str(results)]) == 0
    out = capsys.readouterr().out
    assert out.strip()
    assert not any(character.isdigit() for character in out)


# --- filters and files ------------------------------------------------------------------------


@pytest.fixture
def three(results: Path) -> Path:
    write_result(results, "one", model="small", begun="2026-01-31T23:59:59Z")
    write_result(results, "two", model="large", begun="2026-02-01T00:00:00Z", limit_tokens=500)
    write_result(results, "three", model="large", begun="2026-02-02T12:00:00+13:00")
    return results


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"one", "two", "three"}),
        (["--model", "large"], {"two", "three"}),
        (["--model", "large", "--model", "small"], {"one", "two", "three"}),
        (["--protocol", "1e84"], {"one", "three"}),
        (["--protocol", "greedy"], {"one", "two", "three"}),
        (["--since", "2026-02-01"], {"two", "three"}),
        (["--until", "2026-01-31"], {"one"}),
        (["--since", "2026-02-02"], set()),  # 12:00 in New Zealand was still the 1st in UTC
        (["--task", "humaneval", "--until", "2026-02-01", "--model", "large"], {"two", "three"}),
    ],
)
def test_filters(
    three: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: set[str]
) -> None:
    lists = board(three, capsys, *arguments)["lists"]
    assert {row["run_id"] for each in lists for row in each["rows"]} == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "31.01.2026"], "--since 31.01.2026: … 2026-01-31"),
        (
            ["--since", "2026-02-02", "--until", "2026-02-01"],
            "--until 2026-02-01",
        ),
        (["--model", "larg"], "--model larg: … large?"),
        (["--task", "aime"], "--task aime: … humaneval"),
        (["--protocol", "zz"], "--protocol zz: … greedy"),
        (["--top", "0"], "--top 0: … 1"),
        (["--json", "--csv", "-"], "--csv -: … stdout … --json"),
    ],
)
def test_mistakes_are_one_line(
    three: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert main(["leaderboard", "--results-dir", str(three), *arguments]) == UserError.exit_status
    out, err = capsys.readouterr()
    assert mentions(err, words)
    assert (err.count("\n"), out) == (1, "")


def test_csv_and_parquet_hold_the_same_rows(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb

    parquet = tmp_path / "rows.parquet"
    command = ["leaderboard", "--results-dir", str(three), "--parquet", str(parquet), "--csv", "-"]
    assert main(command) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [line["run_id"] for line in lines] == ["one", "three", "two"]
    assert {line["energy_joules"] for line in lines} == {""}
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [str(parquet)])
        names = [column[0] for column in found.description]
        assert names == list(lines[0])
        for row, line in zip(found.fetchall(), lines, strict=True):
            named = dict(zip(names, row, strict=True))
            assert named["run_id"] == line["run_id"]
            assert str(named["accuracy"]) == line["accuracy"]
            assert f"{named['started_at'].isoformat()}Z" == line["started_at"]


def test_the_page_about_it_names_every_column_in_order(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["leaderboard", "--results-dir", str(three), "--csv", "-"]) == 0
    page = (BASELINES.parents[1] / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    told = page.partition("## Columns")[2].partition(". In CSV")[0]
    assert re.findall(r"`(\w+)`", told) == capsys.readouterr().out.splitlines()[0].split(",")


def test_a_spreadsheet_computes_no_name(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(results, "a", model="=HYPERLINK(1)")
    assert main(["leaderboard", "--results-dir", str(results), "--csv", "-"]) == 0
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (line["model"], line["run_id"]) == ("'=HYPERLINK(1)", "a")


def test_a_file_that_cannot_be_written_is_one_line(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--html", "--csv", "--parquet"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        command = ["leaderboard", "--results-dir", str(three), option, str(tmp_path / "folder")]
        assert main(command) == StoreError.exit_status
        err = capsys.readouterr().err
        assert f"{tmp_path / 'folder'}: " in err
        assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["--html", "--csv", "--parquet"])
def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(
    three: Path, tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "folder" / "good"
    command = ["leaderboard", "--results-dir", str(three), option, str(file)]
    assert main(command) == 0
    good = file.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, hard))
    try:
        assert main(command) == StoreError.exit_status
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_bytes() == good
    assert list(file.parent.iterdir()) == [file]


def test_a_page_can_go_to_stdout_alone(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["leaderboard", "--results-dir", str(three)]
    assert main([*command, "--html", "-"]) == 0
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    for more in (["--csv", "-"], ["--json"]):
        assert main([*command, "--html", "-", *more]) == 2
    assert main([*command, "--parquet", "-"]) == 2
    assert main([*command, "--html", "/dev/null", "--csv", str(tmp_path / "a.csv")]) == 0
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["a.csv"]


def test_a_cost_has_its_interval_below_it(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(results, "a")
    asked = ["leaderboard", "--task", "humaneval", "--wide", "--results-dir", str(results)]
    assert main(asked) == 0
    value, low, high = capsys.readouterr().out.splitlines()[4:7]
    assert " ≥ 0.000306  2026" in value
    assert "  0.000176 to  " in low
    assert high.strip().startswith("0.000737  ")
    file = results / "page.html"
    assert main(["leaderboard", "--html", str(file), "--results-dir", str(results)]) == 0
    page = file.read_text(encoding="utf-8")
    # Its session's end is not on record, so it cost at least this.
    assert '>≥ 0.000306<span class="sub">0.000176 to 0.000737</span></td>' in page


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_narrow_terminal_shows_every_figure_and_which_run_it_is(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    write_result(results, "a", model="the-model")
    write_result(results, "b", model="another")
    assert main(["leaderboard", "--task", "humaneval", "--results-dir", str(results)]) == 0
    table = capsys.readouterr().out
    words = table.split()
    assert {"2.9", "10.1", "14.6", "161", "238", "0.000306", "0.000176", "0.000737"} <= set(words)
    assert "\n#2" in table
    assert {"the-model,", "another,"} <= set(words)
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= width
    assert ("model" in words) == (width >= 100)


def test_a_narrow_table_leaves_out_costs_rather_than_cut_them(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_result(results, "a")
    costs = ("usd_per_solved_owned", "usd_per_solved_api", "joules_per_solved")
    changes: dict[str, Any] = {
        f"{name}{end}": 0.0123456 for name in costs for end in ("", "_low", "_high")
    }
    rows = [row._replace(**changes) for row in read_rows(results).rows]
    for width, shown in ((80, 1), (100, 2), (300, 4)):
        monkeypatch.setenv("COLUMNS", str(width))
        print_leaderboard(rank(rows), 10)
        table = capsys.readouterr().out
        assert table.count("solved") == shown * len(rank(rows))
        assert "…" not in table
        assert max(map(len, table.splitlines())) <= width


def test_wide_has_every_column(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(results, "a", model="the-model")
    assert main(["leaderboard", "--results-dir", str(results)]) == 0
    assert "TTFT," not in capsys.readouterr().out.split()
    assert main(["leaderboard", "--wide", "--results-dir", str(results)]) == 0
    words = capsys.readouterr().out.split()
    assert {"queue,", "TTFT,", "ITL,", "TPOT,", "request,", "begun", "full"} <= set(words)


def test_the_terminal_obeys_no_name(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_result(results, "a", model="\x1b[31m[bold]red")
    write_result(results, "b", 150)
    assert main(["leaderboard", "--results-dir", str(results), "--top", "1"]) == 0
    out = capsys.readouterr().out
    assert "… and 1 more; --top 2 shows all" in out
    assert main(["leaderboard", "--results-dir", str(results)]) == 0
    out = capsys.readouterr().out
    assert r"\x1b[31m[bold]red" in out
    assert "\x1b" not in out
    record = logging.makeLogRecord({"msg": "left out 1: %s", "args": ("runs/\x1b[2J\n\x07",)})
    assert _Lines("harness: %(message)s").format(record) == (
        "harness: left out 1: runs/\\x1b[2J\n\\x07"
    )
