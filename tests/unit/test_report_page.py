"""The page about runs: what it says, what it escapes, and what it does with runs that lack much."""

import base64
import gzip
import hashlib
import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.claims.judge import judge_claims
from harness.claims.ledger import load_ledger
from harness.cli.main import main
from harness.report.markdown import as_markdown
from harness.report.page import plots, samples, write
from harness.report.page.headline import headline, side_by_side
from harness.report.page.outcomes import outcome_groups
from harness.report.page.pictures import find_browser
from harness.report.page.plots import pareto_front
from harness.report.page.render import LIBRARIES, compressed, json_script
from harness.report.page.runs import ReportRun, mismatches, read_report_runs
from harness.report.page.samples import collect_samples
from harness.report.page.thinking import bin_edges, thinking_bins
from harness.report.page.write import make_report, write_page
from harness.store.failures import FailureReason
from harness.store.result import RunResult
from tests.facts import known, mentions
from tests.unit.report_runs import CYCLE, HOSTILE, HOSTILE_NAME, make_run

PAGE_DIR = Path(write.__file__).parent
BASELINE = Path(__file__).resolve().parents[2] / "results/baselines/smollm2_135m_standard_vllm.json"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs under one protocol and one under another."""
    root = tmp_path_factory.mktemp("runs")
    make_run(root / "a", run_id="run_a", name=HOSTILE_NAME)
    make_run(root / "b", run_id="run_b", name="other", shift=1)
    make_run(root / "c", run_id="run_c", name="third", fingerprint="e" * 16)
    return root


def read(folders: Path, *names: str) -> list[ReportRun]:
    return read_report_runs([str(folders / name) for name in names], folders)


def unpacked(block: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(block)))


def block(page: str, name: str) -> Any:
    found = re.search(f'<script type="application/octet-stream" id="{name}">([^<]*)</script>', page)
    assert found is not None, name
    return unpacked(found[1])


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


# --- what a stranger wrote ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    report = make_report(read(folders, "a", "b", "c"), judge_claims(load_ledger()))
    file = write_page(report, tmp_path_factory.mktemp("out")).page
    return file.read_text(encoding="utf-8")


def test_every_script_that_may_run_is_ours(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    allowed = set(re.findall(r"sha256-[^&]+", policy[1]))
    running = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [
        "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for text in running
    ]
    assert len(running) == 7
    assert set(hashes) <= allowed
    assert len(allowed) == 7 + len(LIBRARIES) + 1  # with Plotly; these come compressed
    assert "default-src &#39;none&#39;" in policy[1] or "default-src 'none'" in policy[1]
    assert "connect-src" not in policy[1]
    assert "file:" not in policy[1]


@pytest.mark.parametrize(
    "folder", [PAGE_DIR / "vendor", Path(__file__).resolve().parents[1] / "vendor"],
    ids=["page", "tests"],
)  # fmt: skip
def test_scripts_of_others_are_the_pinned_ones_with_their_licences(folder: Path) -> None:
    rows = re.findall(
        r"^\| `([^`]+)` .*`(\w{64})`", (folder / "README.md").read_text("utf-8"), re.M
    )
    files = {file.name for file in folder.iterdir()}
    assert {name for name, _ in rows} == {
        name for name in files if not name.startswith(("LICENSE", "README"))
    }
    for name, digest in rows:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert any(name.startswith("LICENSE") for name in files)


def test_what_a_model_wrote_stands_nowhere_as_markup(page: str) -> None:
    for raw in ("<img", "</script><script>document.title", "onerror=alert(1)"):
        assert raw not in page
    assert "m&lt;img src=x onerror=alert(2)&gt;|`m`" in page
    assert not re.search(r"(src|href)=.?(https?:)?//", page)


def test_a_claim_without_a_run_shows_what_the_documents_say(page: str) -> None:
    table = page[page.index('class="sortable claims"') :]
    row = table[table.index('data-value="r1-math500-85"') :].partition("</tr>")[0]
    assert "97.3 percent" in row
    assert [word for word in ("untested", "challenged") if word in row] == [
        "untested",
        "challenged",
    ]
    article = load_ledger().articles["A1"]
    assert article.title in row
    assert known(article.file) not in page


def test_data_in_a_script_element_ends_nowhere() -> None:
    text = str(json_script({"x": "</script><!-- \u2028 & <script>"}, 'i"d'))
    assert text.count("<") == 2  # of the element itself
    assert "\u2028" not in text
    assert 'id="i&#34;d"' in text
    inner = text[text.index(">") + 1 : text.rindex("<")]
    assert json.loads(inner) == {"x": "</script><!-- \u2028 & <script>"}


def test_a_lone_surrogate_does_not_stop_a_page() -> None:
    assert gzip.decompress(base64.b64decode(compressed("a\ud800b"))) == b"a?b"


def test_markdown_keeps_a_name_from_being_markup(folders: Path) -> None:
    text = as_markdown(make_report(read(folders, "a"), []))
    assert "m&lt;img src=x onerror=alert(2)>\\|\\`m\\`" in text
    assert "<img" not in text


# --- the samples --------------------------------------------------------------------------------


def test_the_page_holds_every_text_whole(folders: Path, page: str) -> None:
    index = block(page, "index")
    run = index["runs"][0]
    chunks = [block(page, f"chunk-{number}") for number in range(index["chunks"])]
    recorded = {
        str(c.request_id): c.text for c in known(read(folders, "a")[0].folder).read_completions()
    }
    assert len(run["problem"]) == len(recorded) == 12
    for row, problem in enumerate(run["problem"]):
        request = f"{index['problems'][problem]['id']}#{run['sample'][row]}"
        entry = chunks[run["chunk"][row]][run["place"][row]]
        parts = [entry["r"]] if entry["a"] is None else [entry["r"], entry["a"]]
        assert "</think>".join(parts) == recorded[request]
    assert index["problems"][0]["question"] == "What is $0 + 0$?" + HOSTILE
    assert run["prompts"]["0"].endswith("<|assistant|><think>\n")
    assert [run["status"][0], run["extracted"][0]] == ["correct", "0"]


def test_chunks_end_at_their_size_and_lie_beside_a_page_that_is_full(
    folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "CHUNK_CHARACTERS", 1)
    monkeypatch.setattr(write, "MOST_IN_PAGE_BYTES", 1)
    report = make_report(read(folders, "a"), [])
    written = write_page(report, tmp_path)
    assert written.side_files == 12
    text = (tmp_path / "report_files" / "0003.js").read_text(encoding="ascii")
    packed = re.fullmatch(r'Samples\.arrived\(3,"([A-Za-z0-9+/=]+)"\);\n', text)
    assert packed is not None
    assert len(unpacked(packed[1])) == 1
    page = written.page.read_text(encoding="utf-8")
    assert 'id="chunk-' not in page
    assert "file:" in page[: page.index("</head>")]
    # A smaller page that is written over it leaves none of them behind, and nobody else's file.
    (tmp_path / "report_files" / "notes.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(write, "MOST_IN_PAGE_BYTES", 10**9)
    assert write_page(report, tmp_path).side_files == 0
    assert [each.name for each in (tmp_path / "report_files").iterdir()] == ["notes.txt"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["report.html", "report_files"]


# --- the figures --------------------------------------------------------------------------------


def test_outcomes_add_up_by_subject_and_level(folders: Path) -> None:
    groups = outcome_groups(read(folders, "a"), "math_mini")
    by_kind = {kind: [g for g in groups if g.kind == kind] for kind in ("task", "subject", "level")}
    statuses = [CYCLE[place % 5] for place in range(12)]
    (whole,) = by_kind["task"]
    assert whole.counts["correct"] == statuses.count("correct")
    assert whole.counts["truncated"] == statuses.count("truncated")
    for kind in ("subject", "level"):
        assert sum(g.samples for g in by_kind[kind]) == 12
        assert sum(g.counts["correct"] for g in by_kind[kind]) == whole.counts["correct"]
    geometry = next(g for g in groups if g.name == "Geometry")
    # Problems 1 and 4: places 2, 3, 8 and 9 of the cycle.
    assert geometry.counts == {
        "correct": 1, "incorrect": 0, "no answer": 1, "truncated": 2, "errors": 0,
    }  # fmt: skip
    assert geometry.accuracy.value == 0.25


def test_headlines_come_with_intervals_or_with_why_not(folders: Path) -> None:
    cards = {card.key: card for card in headline(read(folders, "a")[0])}
    accuracy = cards["accuracy/math_mini"]
    assert (accuracy.value, accuracy.unit) == ("41.7", "%")
    assert re.match(r"\d+\.\d to \d+\.\d % .*new", accuracy.notes[0])
    assert mentions(accuracy.notes[2], "95 %", "6 of 12 problems", "2 samples")
    assert cards["truncated"].tone == "warn"
    assert any("4,096 tokens" in note for note in cards["truncated"].notes)
    assert any(note.startswith("no interval: ") for note in cards["tokens_per_s"].notes)
    assert (cards["errors"].value, cards["errors"].tone) == ("0", "")


def test_errors_are_loud_and_what_is_unknown_says_so(folders: Path) -> None:
    run = read(folders, "a")[0]
    broken = run.result.outcomes[0].model_copy(update={"status": "generation_error"})
    result = run.result.model_copy(
        update={"outcomes": (broken, *run.result.outcomes[1:]), "estimates": ()}
    )
    cards = {card.key: card for card in headline(type(run)("A", result, run.file, None))}
    assert (cards["errors"].value, cards["errors"].tone) == ("⚠ 1", "loud")
    assert any(mentions(note, "1", "engine") for note in cards["errors"].notes)
    assert cards["accuracy/math_mini"].value == "unknown"
    assert cards["tokens_per_s"].value == "unknown"
    assert cards["cost/rented"].value == "unknown"


def test_the_reasons_for_errors_are_on_the_page(folders: Path, tmp_path: Path) -> None:
    one, other = read(folders, "a", "b")
    assert 'class="failures"' not in page_of([one], tmp_path / "none")
    reason = FailureReason(
        status="generation_error",
        reason="HTTP 403: <b>moderated</b>",
        requests=17,
        first_request_id="math_mini/1#0",
    )
    failed = one.result.model_copy(update={"failures": (reason,)})
    for runs in ([replace(one, result=failed)], [replace(one, result=failed), other]):
        (table,) = re.findall(
            '<table class="failures">.*?</table>', page_of(runs, tmp_path / str(len(runs))), re.S
        )
        assert "⚠ 17" in table
        assert "HTTP 403: &lt;b&gt;moderated&lt;/b&gt;" in table
        assert "math_mini/1#0" in table


def page_of(runs: list[ReportRun], folder: Path) -> str:
    folder.mkdir()
    report = make_report(runs, judge_claims(load_ledger()))
    return write_page(report, folder).page.read_text(encoding="utf-8")


def test_the_share_that_was_truncated_lies_in_its_interval(folders: Path) -> None:
    """Errors count in both: they are in a share's denominator, unlike in an accuracy's."""
    run = read(folders, "a")[0]
    outcomes = tuple(
        o if o.status == "truncated" else o.model_copy(update={"status": "generation_error"})
        for o in run.result.outcomes
    )
    result = run.result.model_copy(update={"outcomes": outcomes})
    cards = {card.key: card for card in headline(type(run)("A", result, run.file, None))}
    card = cards["truncated"]
    low, high = re.findall(r"\d+\.\d", card.notes[1])
    assert card.notes[0] == "2 of 12 answers; not solved"
    assert float(low) < float(card.value) < float(high)


def test_runs_of_different_protocols_are_marked_and_share_no_front(folders: Path) -> None:
    runs = read(folders, "a", "b", "c")
    (found,) = mismatches(runs)
    assert (found.task, found.groups) == ("math_mini", (("A", "B"), ("C",)))
    assert found.fields == ("temperature: f / e",)
    report = make_report(runs, [])
    for plot in report.plots["tradeoff"]:
        fronts = [trace for trace in plot.figure.data if trace.name.startswith("Pareto front")]
        assert [trace.name[-10:] for trace in fronts] == ["protocol 1", "protocol 2"]
        assert len(fronts[1].x) == 1  # C stands alone
        assert "NOT COMPARABLE" in plot.caption
    assert "**Not comparable** on math\\_mini: A and B against C" in as_markdown(report)
    same = make_report(read(folders, "a", "b"), [])
    assert all("NOT COMPARABLE" not in plot.caption for plot in same.plots["tradeoff"])
    assert side_by_side(runs)[0].label == "Accuracy, math_mini"


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(1, 1)], [0]),
        ([(1, 50), (2, 60), (3, 55)], [0, 1]),  # the third costs more and solves less
        ([(1, 50), (1, 60), (2, 60)], [1]),
        ([(1, 50), (1, 50)], [0, 1]),  # neither beats its equal
    ],
)
def test_the_front_holds_what_nothing_beats(
    points: list[tuple[int, int]], front: list[int]
) -> None:
    assert pareto_front(points) == front


def test_plots_show_the_runs_figures(folders: Path) -> None:
    runs = read(folders, "a")
    by_name = {
        plot.name: plot for section in make_report(runs, []).plots.values() for plot in section
    }
    assert set(by_name) == {
        "subject-math_mini", "level-math_mini", "budget-math_mini", "budget-cost-rented",
        "latency", "first-token", "lengths", "thinking",
    }  # fmt: skip
    last = by_name["budget-math_mini"].figure.data[0]
    assert (last.x[-1], round(last.y[-1], 4)) == (4096, round(100 * 5 / 12, 4))
    latency = by_name["latency"].figure.data[0]
    assert latency.y[-1] == 100
    assert sum(sum(bars.y) for bars in by_name["lengths"].figure.data) == pytest.approx(100)
    assert sum(len(marks.x) for marks in by_name["thinking"].figure.data) == 12


def test_accuracy_by_thinking_counts_every_scored_sample_once_and_names_the_unknown(
    folders: Path, tmp_path: Path
) -> None:
    make_run(tmp_path / "more", run_id="more", problems=30, samples=4)
    (run,) = read_report_runs([str(tmp_path / "more")], tmp_path)
    edges = bin_edges([run], "math_mini")
    bins = list(thinking_bins(run, "math_mini", edges))
    assert len(bins) == len(edges) + 1 > 2
    assert sum(each.samples for each in bins) == 120
    assert sum(each.correct for each in bins) == sum(
        outcome.status == "correct" for outcome in run.result.outcomes
    )
    for lower, upper in pairwise(bins):
        assert lower.high_tokens < upper.low_tokens
    assert bins[-1].truncated == bins[-1].samples  # those cut off at 4,096 tokens
    assert bins[-1].accuracy.value == 0
    assert all(each.accuracy.low is not None for each in bins)
    assert bin_edges(read(folders, "a"), "math_mini") == []  # 12 samples are no picture

    outcomes = [
        each.model_copy(update={"reasoning_tokens": None}) if place % 10 == 0 else each
        for place, each in enumerate(run.result.outcomes)
    ]
    result = run.result.model_copy(update={"outcomes": tuple(outcomes)})
    partly = replace(run, result=result)
    known_bins = list(thinking_bins(partly, "math_mini", bin_edges([partly], "math_mini")))
    assert sum(each.samples for each in known_bins) == 108
    plot = next(
        each
        for each in make_report([partly], []).plots["times"]
        if each.name == "accuracy-thinking-math_mini"
    )
    assert "12 samples" in plot.caption
    assert len(plot.figure.data[0].x) == len(known_bins)


def test_the_index_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    sizes = []
    for words in (100, 5000):
        make_run(tmp_path / str(words), run_id=str(words), problems=10, samples=8, words=words)
        found = collect_samples(
            read_report_runs([str(tmp_path / str(words))], tmp_path), _made(tmp_path / f"c{words}")
        )
        sizes.append(len(gzip.decompress(base64.b64decode(found.index))))
        assert found.texts == 80
    assert sizes[1] - sizes[0] < 80 * 8  # of each sample, a number or two has more digits
    assert sizes[1] / 80 < 600  # bytes for a sample


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


# --- colours ------------------------------------------------------------------------------------


def colours() -> dict[str, tuple[str, str]]:
    css = (PAGE_DIR / "page.css").read_text(encoding="utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    return {name: (light, dark) for name, light, dark in found}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_can_be_read_on_every_ground(theme: int) -> None:
    """WCAG 2 AA: 4.5 to 1 for text, 3 to 1 for the lines of plots."""
    known = colours()
    for name, least in [
        *((n, 4.5) for n in ("ink", "muted", "accent", "good", "bad", "warn", "loud")),
        *((f"run-{number}", 3.0) for number in range(6)),
    ]:
        for ground in ("paper", "panel", "raised"):
            pair = sorted((luminance(known[name][theme]), luminance(known[ground][theme])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, (name, ground)


def test_plots_and_page_mean_the_same_colours() -> None:
    script = (PAGE_DIR / "page.js").read_text(encoding="utf-8")
    named = dict(re.findall(r'"(#\w{6})": "([\w-]+)"', script))
    known = colours()
    assert all(known[name][0] == colour for colour, name in named.items())
    used = {plots.INK, plots.MUTED, plots.LINE, *plots.RUN_COLOURS, *plots.STATUS_COLOURS.values()}
    assert used <= set(named)


# --- the command --------------------------------------------------------------------------------


def test_a_run_gets_its_page_in_its_folder(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(folders / "b", tmp_path / "b")
    status, out, err = call(capsys, "report", run)
    assert (status, err) == (0, "")
    assert out == f"{run / 'report' / 'report.html'}\n"
    assert (run / "report" / "report.md").read_text(encoding="utf-8").startswith("### other, ")


def test_several_runs_get_a_folder_of_their_own(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = call(capsys, "report", folders / "a", folders / "b", "--results-dir", tmp_path)
    assert status == 0
    assert re.fullmatch(
        re.escape(str(tmp_path)) + r"/reports/2_runs_[0-9a-f]{8}/report\.html\n", out
    )


def test_a_lone_result_says_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "report", BASELINE, "-o", tmp_path)[0] == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert mentions(page, "subjects", "levels")
    index = block(page, "index")
    assert index["chunks"] == 0
    assert set(index["problems"][0]) == {"id", "task"}
    assert len(index["runs"][0]["status"]) == len(read_json_outcomes(BASELINE))


def read_json_outcomes(file: Path) -> tuple[object, ...]:
    return RunResult.model_validate_json(file.read_bytes()).outcomes


def test_runs_that_are_none_are_one_line(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = shutil.copytree(folders / "a", tmp_path / "a")
    (unfinished / "result.json").unlink()
    linked = shutil.copytree(folders / "b", tmp_path / "b")
    (linked / "report").symlink_to(tmp_path)
    (tmp_path / "log.jsonl").write_text('{"doc_id": 0}\n', encoding="utf-8")
    for arguments, words in (
        (["nope", "--results-dir", tmp_path], "nope: … manifest.json"),
        ([unfinished], f"result.json … harness score {unfinished}"),
        ([folders / "a", folders / "a"], "RUN=run_a: … twice"),
        ([tmp_path / "log.jsonl"], "log.jsonl … lm-evaluation-harness"),
        ([linked], "report: … link"),
        ([folders / "a", "-o", tmp_path / "log.jsonl"], "log.jsonl: … File exists"),
    ):
        status, out, err = call(capsys, "report", *arguments)
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert mentions(err, words)


def test_pictures_without_a_browser_come_after_the_page(
    folders: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("BROWSER_PATH", raising=False)
    status, out, err = call(capsys, "report", folders / "b", "-o", tmp_path / "o", "--plots")
    assert status == 3
    assert out == f"{tmp_path / 'o' / 'report.html'}\n"
    assert mentions(err, "--plots: ", "PATH", "chromium, ", "report.md")
    monkeypatch.setenv("BROWSER_PATH", __file__)
    assert find_browser() == __file__, "as the doctor looks"
    assert (tmp_path / "o" / "report.md").is_file()


@pytest.mark.browser
def test_pictures_are_drawn(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("needs Chromium (looked for chromium in PATH)")
    pytest.importorskip("kaleido", reason="needs kaleido")
    status, _, err = call(capsys, "report", folders / "b", "-o", tmp_path, "--plots")
    assert status == 0, err
    kinds = [file.suffix for file in (tmp_path / "plots").iterdir()]
    assert kinds.count(".png") == kinds.count(".svg") == 8
    assert (tmp_path / "plots" / "lengths.png").read_bytes().startswith(b"\x89PNG")
    assert "<text" in (tmp_path / "plots" / "lengths.svg").read_text("utf-8")
