"""What MkDocs builds the site from, beside docs/*.md.

README.md becomes the first page; CONTRIBUTING.md and the like become pages too. A file of the
repository that a page links to becomes a page that shows it, so every link works from disk. The
reference is written from the code (``reference.py``).
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

import reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
"""Pages at the top of the repository, and where they are in the site."""

ASSETS = {
    "javascripts/iframe-worker.js": HERE / "iframe-worker.js",
    "stylesheets/site.css": HERE / "site.css",
}
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)#\s]+)")
LANGUAGES = {".yaml": "yaml", ".yml": "yaml", ".ipynb": "json", ".py": "python", ".service": "ini"}
LONGEST_CHARS = 20_000
WITHOUT_SIDEBAR = "---\nhide: [navigation]\n---\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not in docs/."""
    for name, page in TOP_PAGES.items():
        text = with_site_links((ROOT / name).read_text(encoding="utf-8"), "")
        front = WITHOUT_SIDEBAR if page == "index.md" else ""
        files.append(File.generated(config, page, content=front + text))
    for name, text in reference.pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    for path in sorted(set(_linked_files())):
        files.append(File.generated(config, _site_page(path), content=_shown(path)))
    for page, asset in ASSETS.items():
        files.append(File.generated(config, page, abs_src_path=str(asset)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turns the links of a page in docs/ into links of the site."""
    is_of_docs = page.file.generated_by is None
    return with_site_links(markdown, "docs") if is_of_docs else markdown


def with_site_links(markdown: str, folder: str) -> str:
    """The text with each link to a file of the repository turned into one of the site.

    Args:
        markdown: A page that is at the top of the site.
        folder: Where it is in the repository.
    """
    return LINK.sub(lambda link: _site_page(posixpath.normpath(f"{folder}/{link[1]}")), markdown)


def _site_page(path: str) -> str:
    """Where a file of the repository is in the site."""
    path = path.lstrip("/")
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return TOP_PAGES.get(path, f"files/{path}.md")


def _linked_files() -> Iterator[str]:
    """Files and folders of the repository that a page links to and that are no pages."""
    pages = [*(ROOT / name for name in TOP_PAGES), *(ROOT / "docs").glob("*.md")]
    for page in pages:
        folder = page.parent.relative_to(ROOT).as_posix()
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            path = posixpath.normpath(f"{folder}/{target}")
            if not path.startswith("docs/") and path not in TOP_PAGES and (ROOT / path).exists():
                yield path


def _shown(path: str) -> str:
    """A page that shows a file, or all files of a folder."""
    place = ROOT / path
    files = sorted(f for f in place.rglob("*") if f.is_file()) if place.is_dir() else [place]
    return "\n".join([f"# {place.name}", f"`{path}` of the repository.", *map(_block, files)])


def _block(file: Path) -> str:
    """A file as a block of code under its path."""
    text = file.read_text(encoding="utf-8")
    if len(text) > LONGEST_CHARS:
        text = f"{text[:LONGEST_CHARS]}\n… ({len(text):,} characters in all)\n"
    language = LANGUAGES.get(file.suffix, "sh")
    return f"\n## `{file.relative_to(ROOT)}`\n\n````{language}\n{text.rstrip()}\n````\n"
