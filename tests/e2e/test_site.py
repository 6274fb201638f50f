"""The documentation as a site: built with broken links as errors, and used from disk."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from harness import errors
from harness.cli.arguments import build_parser
from harness.config.settings import RunConfig
from harness.records import VerdictStatus
from tests.conftest import REPOSITORY
from tests.e2e.pages import LONGEST_MS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.importorskip("mkdocs", reason="scripts/setup --tests installs mkdocs-material")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; a link or an anchor that leads nowhere fails here."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def text_of(site: Path, page: str) -> str:
    return (site / f"{page}.html").read_text(encoding="utf-8")


def test_the_reference_has_every_key_and_command(site: Path) -> None:
    keys = text_of(site, "reference/configuration")
    for name in RunConfig.model_fields:
        assert f"<code>{name}</code>" in keys
    assert "<code>protocol.max_new_tokens</code>" in keys
    commands = text_of(site, "reference/commands")
    (parsers,) = build_parser()._subparsers._group_actions  # type: ignore[union-attr]
    for command in parsers.choices or ():
        assert f'id="{command}"' in commands
    assert '<h2 id="outcome">' in text_of(site, "reference/result-schema")
    assert "441 of 500" in text_of(site, "files/conf/experiment/r1_math500_85.yaml")


def test_every_key_of_the_configuration_has_a_meaning(site: Path) -> None:
    rows = re.findall(r"<tr>\s*(.*?)</tr>", text_of(site, "reference/configuration"), re.S)
    cells = [re.findall(r"<td>(.*?)</td>", row, re.S) for row in rows]
    keys = [row for row in cells if len(row) == 4]
    assert len(keys) > 100
    assert [row[0] for row in keys if not row[3]] == []


def test_the_tables_of_statuses_are_those_of_the_code(site: Path) -> None:
    page = text_of(site, "results")
    for status in get_args(VerdictStatus):
        assert f"<td><code>{status}</code></td>" in page
    statuses = {getattr(each, "exit_status", 0) for each in vars(errors).values()}
    for number in statuses:
        assert f"<td>{number}</td>" in page


def test_a_broken_link_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Home\n\n[there](#nowhere)\n", encoding="utf-8")
    rules = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8").partition("\nvalidation:")[2]
    validation = rules.partition("\n\n")[0]
    config = f"site_name: x\nvalidation:{validation}\n"
    (tmp_path / "mkdocs.yml").write_text(config, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "#nowhere" in done.stderr


@pytest.mark.browser
def test_every_page_fits_a_phone_and_asks_no_network(site: Path, browser: "Browser") -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.set_default_timeout(LONGEST_MS)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    # the page of a missing address has the paths of a server
    for file in sorted(set(site.rglob("*.html")) - {site / "404.html"}):
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), file
    page.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.browser
def test_the_search_finds_a_word_from_disk(site: Path, browser: "Browser") -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(LONGEST_MS)
    page.goto((site / "index.html").as_uri())
    page.get_by_role("textbox", name="Search").press_sequentially("max_prompt_tokens")
    links = page.locator(".md-search-result__link")
    links.first.wait_for()
    found = [link.get_attribute("href") or "" for link in links.all()]
    assert any("reference/configuration.html" in link for link in found)
    links.first.click()
    page.wait_for_url(lambda url: "index.html" not in url)
    page.close()
