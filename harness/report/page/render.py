"""From a template and what it shows to a page that needs nothing else and may load nothing else.

Two things keep what a model wrote from being taken for a part of the page. Jinja escapes every
value, always. And the page's Content-Security-Policy lets the browser run the scripts of this
package alone, each by the hash of its text, and open no connection at all.
"""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_PAGE_DIR = Path(__file__).resolve().parent
_PAGE_SCRIPT = "page.js"
# What would end a script element, open a comment in it, or end a line of JavaScript.
_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028",
              "\u2029": "\\u2029"}  # fmt: skip


def render_page(template_name: str, *, scripts: Sequence[str] = (), **context: Any) -> str:
    """A page as text. For one that holds much, ``stream_page``.

    Args:
        template_name: A file under ``harness/report`` or ``harness/report/page``; usually it
            extends ``base.html.j2``.
        scripts: Names of JavaScript files there. Only these, and the page's own, will run.
        **context: What the template shows. ``title`` is asked by the base. ``libraries`` names
            those of ``LIBRARIES`` that the page carries, ``plots=True`` is short for Plotly.
    """
    return "".join(stream_page(template_name, scripts=scripts, **context))


def stream_page(
    template_name: str, *, scripts: Sequence[str] = (), **context: Any
) -> Iterator[str]:
    """The same in pieces, so that an iterator in ``context`` is never held as a whole."""
    names = [_PAGE_SCRIPT, *scripts]
    libraries = [*["plotly"] * bool(context.get("plots")), *context.pop("libraries", ())]
    template = _environment().get_template(template_name)
    return template.generate(
        {"side_files": False, **context},
        libraries=[library_block(name) for name in libraries],
        library_hashes=[_csp_hash(_library(name)) for name in libraries],
        script_texts=[Markup(_source(name)) for name in names],  # noqa: S704 - our own files
        script_hashes=[_csp_hash(_source(name)) for name in names],
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader([_PAGE_DIR, _PAGE_DIR.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "style": lambda name: Markup(_source(name)),  # noqa: S704 - our own files
        "formula_style": formula_style,
        "plot_div": plot_div,
        "json_script": json_script,
    }
    return environment


@cache
def _source(name: str) -> str:
    for folder in (_PAGE_DIR, _PAGE_DIR.parent):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise FileNotFoundError(f"{name}: no such file in {_PAGE_DIR} or {_PAGE_DIR.parent}")


def _csp_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def json_script(value: Any, element_id: str) -> Markup:
    """Data for a script of the page, in an element that the browser does not run."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for mark, escaped in _IN_SCRIPT.items():
        text = text.replace(mark, escaped)
    head = Markup('<script type="application/json" id="{}">').format(element_id)
    return head + Markup(text) + Markup("</script>")  # noqa: S704 - escaped above


def compressed(text: str) -> str:
    """Text as base64 of gzip, in which no character means anything to HTML."""
    # mtime=0: the same text gives the same page.
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode()


# --- plots ------------------------------------------------------------------------------------


def plot_div(figure: Any, name: str, caption: str = "") -> Markup:
    """A Plotly figure where it stands in the page; the page's script draws and colours it.

    Args:
        figure: A ``plotly.graph_objects.Figure``; its title becomes the plot's heading.
        name: Its id in the page.
        caption: What a reader needs to read it rightly.
    """
    drawn = json.loads(figure.to_json())
    title = drawn["layout"].pop("title", {}).get("text", name)
    del drawn["layout"]["template"]  # the page has its own colours
    return Markup(
        '<figure class="plot" id="{name}"><h3>{title}</h3>'
        '<div class="plot-area" role="img" aria-label="{title}. {caption}"></div>'
        "<figcaption>{caption}</figcaption>{data}</figure>"
    ).format(name=name, title=title, caption=caption, data=json_script(drawn, f"{name}-data"))


# --- scripts of others ------------------------------------------------------------------------

_VENDOR_DIR = _PAGE_DIR / "vendor"
LIBRARIES = {
    "temml": "temml.min.js",
    "highlight": "highlight.min.js",
    "diff": "diff.min.js",
}
"""By the id of their element in the page; Plotly comes from its own package."""


@cache
def library_block(name: str) -> Markup:
    """A library as the page carries it: compressed; ``Page.library`` unpacks and runs it."""
    head = Markup('<script type="application/octet-stream" id="{}">').format(name)
    return head + Markup(compressed(_library(name))) + Markup("</script>")  # noqa: S704 - base64


@cache
def _library(name: str) -> str:
    if name == "plotly":
        from plotly.offline import get_plotlyjs

        return str(get_plotlyjs())
    return (_VENDOR_DIR / LIBRARIES[name]).read_text(encoding="utf-8")


@cache
def formula_style() -> Markup:
    """Temml's style with its one font inside, for the page may load nothing."""
    style = (_VENDOR_DIR / "Temml-Local.css").read_text(encoding="utf-8")
    font = base64.b64encode((_VENDOR_DIR / "Temml.woff2").read_bytes()).decode()
    address = "url('Temml.woff2')"
    assert address in style
    filled = style.replace(address, f"url('data:font/woff2;base64,{font}')")
    return Markup(filled)  # noqa: S704 - a committed file
