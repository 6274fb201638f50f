"""The report in a real browser: what a reader does with it, and what a hostile answer cannot do."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from harness.claims.judge import judge_claims
from harness.claims.ledger import load_ledger
from harness.report.page import write
from harness.report.page.runs import read_report_runs
from tests.facts import known
from tests.unit.report_runs import HOSTILE, HOSTILE_NAME, make_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
READY = "#browser[data-ready]"
PATIENCE_MS = 120_000
"""Of a wait, on a machine that does much else."""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Headless Chromium; one for all tests of this file."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium (looked for chromium and chromium-browser in PATH)")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS
        )
        yield launched
        launched.close()


def new_page(context: "Browser | BrowserContext") -> "Page":
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    return page


CODE = "def f(x):\n    return '</script><b>' + x  # <img src=x>"


def drawn_thought(number: int, sample: int) -> str:
    return f"""so $\\frac{{{number}}}{{2}}$ or
\\[ x_{sample} = \\begin{{pmatrix}} 1 & 2 \\end{{pmatrix}} \\]
and broken: $\\frac{{1$, \\(\\href{{javascript:alert(3)}}{{x}}\\), for $5 and $6.
```python
{CODE}
```
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two runs side by side with hostile answers; and a larger one whose texts lie beside it."""
    folder = tmp_path_factory.mktemp("report")
    made = {
        "a": make_run(folder / "a", run_id="run_a", name=HOSTILE_NAME),
        "b": make_run(folder / "b", run_id="run_b", name="other", shift=1),
        "drawn": make_run(
            folder / "drawn", run_id="run_drawn", name="drawn", thought=drawn_thought
        ),
        "many": make_run(folder / "many", run_id="run_many", problems=100, samples=16, words=9),
    }
    judgements = judge_claims(load_ledger())
    with pytest.MonkeyPatch.context() as patch:
        two = read_report_runs([str(made["a"]), str(made["b"])], folder)
        report = write.make_report(two, judgements)
        first = write.write_page(report, folder / "two").page
        drawn = read_report_runs([str(made["drawn"])], folder)
        third = write.write_page(write.make_report(drawn, judgements), folder / "drawn_page").page
        patch.setattr(write, "MOST_IN_PAGE_BYTES", 1000)
        patch.setattr("harness.report.page.samples.CHUNK_CHARACTERS", 10_000)
        many = write.make_report(read_report_runs([str(made["many"])], folder), judgements)
        second = write.write_page(many, folder / "beside")
        assert second.side_files > 1
    return SimpleNamespace(two=first, beside=second.page, drawn=third)


@pytest.fixture
def visit(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """Opens a page; in the end nothing has gone wrong in it and it has asked for nothing else."""
    wrongs: list[str] = []
    opened = []

    def call(file: Path, **context: Any) -> "Page":
        found = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **context})
        opened.append(found)
        page = new_page(found)
        home = file.parent.as_uri()
        page.on("console", lambda m: wrongs.append(m.text) if m.type != "log" else None)
        page.on("pageerror", lambda error: wrongs.append(str(error)))
        page.on("dialog", lambda dialog: wrongs.append(f"dialog {dialog.message}"))
        page.on("request", lambda r: None if r.url.startswith(home) else wrongs.append(r.url))
        page.goto(file.as_uri())
        page.wait_for_selector(READY)
        return page

    yield call
    for each in opened:
        each.close()
    assert wrongs == []


def shown(page: "Page", name: str) -> None:
    """Waits until a sample is shown."""
    page.wait_for_selector(f'#sample[data-shown="{name}"]')


def listed(page: "Page") -> list[list[str]]:
    """The rows in sight, as text."""
    return [row.inner_text().split() for row in page.query_selector_all("#list tr[data-row]")]


def test_filters_and_sorting_show_what_they_say(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    assert page.inner_text("#found") == "12 samples"
    page.select_option("#filter-status", "truncated")
    assert [row[3] for row in listed(page)] == ["truncated"] * 2
    assert page.inner_text("#found") == "2 of 12 samples"
    page.select_option("#filter-status", "")
    page.select_option("#filter-subject", "Geometry")
    assert {row[0] for row in listed(page)} == {"mini/001", "mini/004"}
    page.select_option("#filter-subject", "")
    page.click("#list button[data-sort=tokens]")
    tokens = [int(row[-1].replace(",", "")) for row in listed(page)]
    assert tokens == sorted(tokens)
    page.click("#list button[data-sort=tokens]")
    assert listed(page)[0][-1] == "4,096"
    assert page.get_attribute("#list th.num", "aria-sort") == "descending"
    page.select_option("#differ", "outcome")
    assert all(row[3] != row[5] for row in listed(page))
    differing = len(listed(page))
    words = page.inner_text("#differ option[value=outcome]")
    assert words.endswith(f"({differing})")
    page.select_option("#differ", "gained")
    gained = listed(page)
    assert gained
    assert {row[3] for row in gained} == {"correct"}
    assert "A" in page.inner_text("#differ option[value=gained]").split()
    page.select_option("#run-b", "")
    assert len(listed(page)) == 12
    assert page.is_hidden("#list th.beside")


def test_two_runs_stand_side_by_side_with_the_other_samples(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    shown(page, "A:math_mini/mini/000#0")
    assert [each.inner_text() for each in page.query_selector_all("#sample .side .badge")] == [
        "✓ correct",
        "✗ incorrect",
    ]
    page.click("#sample .chip:not([aria-current])")
    shown(page, "A:math_mini/mini/000#1")
    page.select_option("#run-a", "1")
    page.select_option("#run-b", "0")
    shown(page, "B:math_mini/mini/000#1")
    assert page.inner_text("#sample .side:first-child .badge") == "✓ correct"
    page.reload()
    page.wait_for_selector(READY)
    shown(page, "A:math_mini/mini/000#1")  # the address keeps what was chosen by hand


def test_keys_move_search_fold_and_help(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    page.keyboard.press("j")
    page.keyboard.press("j")
    shown(page, "A:math_mini/mini/001#0")
    page.keyboard.press("n")
    shown(page, "A:math_mini/mini/001#1")
    page.keyboard.press("p")
    page.keyboard.press("k")
    shown(page, "A:math_mini/mini/000#1")
    page.focus("#list")
    page.keyboard.press("ArrowDown")
    shown(page, "A:math_mini/mini/001#0")
    reasoning = "#sample .side:first-child details.reasoning"
    assert not page.evaluate("s => document.querySelector(s).open", reasoning)
    page.keyboard.press("r")
    assert page.evaluate("s => document.querySelector(s).open", reasoning)
    assert "needle1x0" in page.inner_text(reasoning)
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")
    page.keyboard.press("/")
    page.keyboard.type("jk?")  # letters, not orders, in the field
    assert page.input_value("#search") == "jk?"
    assert page.inner_text("#found").startswith("0 of 12")
    page.keyboard.press("Escape")
    assert page.inner_text("#found") == "12 samples"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.body")


def test_a_search_looks_into_the_index_and_on_demand_into_all_texts(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    page.fill("#search", "mini/003")
    assert len(listed(page)) == 2
    page.fill("#search", "NEEDLE4x1")
    assert listed(page) == []
    page.click("#search-texts")
    page.wait_for_selector("#full-text", state="hidden")
    shown(page, "A:math_mini/mini/004#1")
    assert page.inner_text("#sample mark").lower() == "needle4x1"
    assert page.is_visible("#sample mark")  # the fold that holds it is open


def test_nothing_that_a_model_wrote_becomes_a_part_of_the_page(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    shown(page, "A:math_mini/mini/000#0")
    page.keyboard.press("r")
    page.wait_for_selector("#sample .reasoning pre.prose")
    blocks = [each.text_content() for each in page.query_selector_all("#sample pre")]
    assert (
        sum(HOSTILE in known(text) for text in blocks) >= 4
    )  # question, prompt, reasoning, answer
    assert HOSTILE_NAME in page.inner_text("header .runs")
    assert page.title().startswith("2 runs: ")
    assert page.query_selector_all("img") == []


def test_a_script_that_did_get_in_would_not_run(browser: "Browser", pages: SimpleNamespace) -> None:
    page = new_page(browser)
    page.goto(pages.two.as_uri())
    refused = page.evaluate(
        """() => new Promise((resolve) => {
            const refused = (event) => resolve(event.effectiveDirective);
            addEventListener("securitypolicyviolation", refused);
            const script = document.createElement("script");
            script.textContent = "document.title = 'taken'";
            document.body.append(script);
        })"""
    )
    assert refused == "script-src-elem"
    assert page.title() != "taken"
    page.close()


def test_colours_follow_the_system_and_the_button(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two, color_scheme="dark")
    page.evaluate("document.getElementById('times').scrollIntoView()")
    page.wait_for_selector("#latency[data-drawn] .xtick text")
    background = "getComputedStyle(document.body).backgroundColor"
    text = "getComputedStyle(document.querySelector('#latency .xtick text')).fill"
    dark, dark_text = page.evaluate(background), page.evaluate(text)
    page.click("#theme")
    assert "light" in known(page.get_attribute("#theme", "aria-label"))
    light = page.evaluate(background)
    page.wait_for_function(f"{text} !== '{dark_text}'")
    page.click("#theme")
    assert (dark, light) == (page.evaluate(background), "rgb(255, 255, 255)")


def test_paper_has_no_controls_and_folds_nothing(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two, color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.is_hidden("#list")
    assert page.is_hidden("#filters")
    assert page.is_hidden("#theme")
    assert page.is_visible("#sample .reasoning pre >> nth=0")
    assert page.is_visible(".evidence >> nth=0")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("document.querySelector('.claims details').open")


def test_nothing_runs_over_the_edge_of_a_small_screen(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.evaluate("document.getElementById('samples').scrollIntoView()")
    assert page.is_visible("#list tr[data-row] >> nth=0")


def test_claims_are_filtered(visit: "Callable[..., Page]", pages: SimpleNamespace) -> None:
    page = visit(pages.two)
    page.select_option("#claim-verdict", "challenged")
    rows = [row for row in page.query_selector_all("table.claims tbody tr") if row.is_visible()]
    assert rows
    assert all("✗ challenged" in row.inner_text() for row in rows)
    assert page.inner_text("#claims-found").startswith(f"{len(rows)} of ")


def test_many_samples_with_their_texts_in_files_beside_the_page(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.beside)
    assert page.inner_text("#found") == "1,600 samples"
    assert len(listed(page)) < 80  # those in sight, no more
    shown(page, "A:math_mini/mini/000#0")
    page.evaluate("document.getElementById('list').scrollTop = 1e9")
    page.wait_for_selector("#list tr[data-row='1599']")
    page.click("#list tr[data-row='1599']")
    shown(page, "A:math_mini/mini/099#15")
    assert "needle99x15" in known(page.text_content("#sample .reasoning"))
    page.fill("#search", "needle50x7 ")
    page.click("#search-texts")
    shown(page, "A:math_mini/mini/050#7")
    assert len(listed(page)) == 1


def test_a_missing_file_beside_the_page_is_named(
    browser: "Browser", pages: SimpleNamespace, tmp_path: Path
) -> None:
    shutil.copy(pages.beside, tmp_path)
    page = new_page(browser)
    page.goto((tmp_path / pages.beside.name).as_uri())
    page.wait_for_selector("#sample .notice.warn")
    assert "report_files/0000.js is missing" in page.inner_text("#sample .notice.warn >> nth=0")
    page.close()


# --- formulas and code ---------------------------------------------------------------------------


PIECES = [
    ("costs $5 and $6, or 7", ""),
    (r"pay \$5 for $x$", "formula"),
    (r"$x$, \(y\), $$z$$ and \[w\]", "formula formula formula formula"),
    ("$a\n+ b$ but not $c\n\n d$", "formula"),
    (r"\begin{align*} a &= b \end{align*} \begin{itemize} x \end{itemize}", "formula"),
    ("a `$x$` b", "word"),
    ("```python\nx = '$y$'\n```\n$z$", "code formula"),
    ("~~~\n```\n~~~", "code"),
    ("cut off:\n```cpp\nint x;", "code"),
    (r"\( never closed, \[ nor this", ""),
    ("", ""),
]


def test_formulas_and_code_are_found_in_a_text(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    for text, kinds in PIECES:
        found = page.evaluate("text => Texts.pieces(text)", text)
        assert [kind for kind, *_ in found if kind != "text"] == kinds.split(), text
        assert "".join(written for _, written, *_ in found) == text


def test_no_formula_is_more_than_a_formula(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    page.evaluate("Page.library('temml')")
    broken = [
        r"\frac{1", r"\nosuchcommand{3}", r"\def\a{\a\a}\a", "{" * 20_000,
        r"\label{theme} \ref{theme}",
        r"\href{javascript:alert(1)}{x}", r"\includegraphics{http://x/y.png}", r"\id{theme}{x}",
        r"\class{skip}{x}", r"\style{position:fixed}{x}", r"\color{red;position:fixed}{x}",
    ]  # fmt: skip
    drawn = "source => Texts.formula(source, true)?.innerHTML ?? null"
    assert [page.evaluate(drawn, source) for source in broken] == [None] * len(broken)
    assert "<img" not in page.evaluate(drawn, r"\text{<img src=x onerror=alert(1)>}")
    half = page.evaluate(drawn, r"\frac{1}{2}")
    assert "<mfrac>" in half
    page.evaluate(drawn, r"\gdef\frac#1#2{other} x")
    assert page.evaluate(drawn, r"\frac{1}{2}") == half


def test_formulas_and_code_are_drawn_when_unfolded_and_shown_as_written_on_demand(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.drawn)
    reasoning = "#sample .reasoning pre"
    written = known(page.text_content(reasoning))
    assert CODE in written
    assert page.query_selector_all(f"{reasoning} math") == []
    page.keyboard.press("r")
    page.wait_for_selector(f"{reasoning} .hljs-keyword")
    assert len(page.query_selector_all(f"{reasoning} math")) == 2
    text = known(page.text_content(reasoning))
    for part in (r"$\frac{1$", r"\href{javascript:alert(3)}{x}", "$5 and $6", CODE):
        assert part in text
    assert page.query_selector_all("#sample a, #sample img, #sample b") == []
    page.keyboard.press("t")
    page.wait_for_selector(f"{reasoning}:not(.prose)")
    assert page.text_content(reasoning) == written
    page.keyboard.press("t")
    page.wait_for_selector(f"{reasoning} math >> nth=0")
    page.fill("#search", "frac{0")
    page.click("#search-texts")
    page.wait_for_selector(f"{reasoning}.prose mark")  # the source, where it is searched for


# --- two runs, and links -----------------------------------------------------------------------


def test_what_differs_between_two_answers_is_told_and_shown_word_by_word(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two)
    shown(page, "A:math_mini/mini/000#0")
    facts = [each.inner_text() for each in page.query_selector_all("#sample .difference li")]
    assert [fact.split(":")[0] for fact in facts] == ["Outcome", "Extracted", "Reasoning", "Answer"]
    same = [each.inner_text() for each in page.query_selector_all(".difference li.muted")]
    assert same == facts[2:3]
    page.click(".difference summary")
    page.wait_for_selector(".difference ins")
    assert page.inner_text(".difference del >> nth=0").strip() == "0"
    assert page.inner_text(".difference ins >> nth=0").strip() == "1"
    assert HOSTILE in known(page.text_content(".difference pre"))


def test_a_copied_link_opens_the_sample_beside_its_other_run(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.two, permissions=["clipboard-read", "clipboard-write"])
    page.select_option("#run-a", "1")
    page.select_option("#run-b", "0")
    page.click("#list tr[data-row='5']")
    shown(page, "B:math_mini/mini/002#1")
    page.click("#sample .copy")
    page.wait_for_function("document.querySelector('#sample .copy').textContent === 'Copied'")
    address = page.evaluate("navigator.clipboard.readText()")
    assert address.startswith(pages.two.as_uri() + "#")
    other = visit(pages.two)
    other.select_option("#filter-status", "truncated")
    other.goto(address)  # within the page: what hides the sample is taken away
    shown(other, "B:math_mini/mini/002#1")
    assert other.input_value("#filter-status") == ""
    third = visit(pages.two)
    third.goto("about:blank")
    third.goto(address)
    shown(third, "B:math_mini/mini/002#1")
    assert third.query_selector_all("#sample .side")[1].get_attribute("aria-label") == "Run A"


# --- for everybody -------------------------------------------------------------------------------

AXE = Path(__file__).resolve().parents[1] / "vendor" / "axe.min.js"
WIDTHS = (1280, 390)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("which", ["two", "drawn", "beside"])
def test_axe_finds_nothing_serious(
    visit: "Callable[..., Page]", pages: SimpleNamespace, which: str, width: int
) -> None:
    viewport = {"width": width, "height": 900}
    page = visit(getattr(pages, which), viewport=viewport, bypass_csp=True)
    page.wait_for_selector("html[data-plots]")
    page.add_script_tag(path=AXE)
    page.keyboard.press("r")
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.wait_for_selector("#sample .reasoning pre.prose")
    violations = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        violations += page.evaluate("axe.run().then((found) => found.violations)")
        page.keyboard.press("?")
        violations += page.evaluate("axe.run('#help').then((found) => found.violations)")
        page.keyboard.press("Escape")
    serious = [
        (each["id"], node["target"], node.get("failureSummary"))
        for each in violations
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
    assert serious == []


# --- many samples ----------------------------------------------------------------------------


def test_few_texts_are_held_at_once_however_many_are_read(
    visit: "Callable[..., Page]", pages: SimpleNamespace
) -> None:
    page = visit(pages.beside)
    most, chunks = page.evaluate("[Samples.MOST_KEPT, Samples.index.chunks]")
    assert chunks > most
    page.evaluate(
        "Promise.all(Array.from({length: 30}, (_, at) => Samples.chunk(at % Samples.index.chunks)))"
    )
    page.evaluate("Samples.search(Browser.a, 'needle', () => true)")
    assert page.evaluate("Samples.kept.size") <= most
    assert page.evaluate("Samples.waiting.size") == 0
    assert page.query_selector_all("script[src]") == []
