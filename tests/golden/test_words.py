"""All words that a person reads, in one file, and no other test repeats them.

``words.txt`` holds the phrases of the package, sorted; moving code changes nothing in it.
``help.txt`` holds what ``--help`` prints, of the program and of each command.
"""

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest

from harness.cli.arguments import build_parser
from harness.cli.main import main
from tests.conftest import REPOSITORY, Golden

HERE = Path(__file__).resolve().parent
PACKAGE = REPOSITORY / "harness"

N_WORDS = 3
# Commands, what other programs write, what verdicts.jsonl records, and the name of a look.
NOT_OURS = re.compile(
    r"harness (run|completion|grade|report)\b|pip (install|config)|no such file|already in use"
    r"|out of memory"
    r"|enough memory|could not create a|KV cache|Engine ?core|Model Runner"
    r"|none: no final answer|algebra: timeout|on this disk",
    re.IGNORECASE,
)
TWO_WORDS = re.compile(r"[A-Za-z}][\w{}'\"`,;:.)=%]*\s+\S*[A-Za-z{]")
NO_PROSE = re.compile(
    r"\\|\(\?|@misc\{"  # patterns, TeX, BibTeX
    r"|\b(SELECT|DELETE FROM|COPY|CREATE) "
    r"|^\s*(import|def|return|from \w+ import) \w+.*$",
    re.MULTILINE,
)
# Calls whose words are read even if it is a single one.
SPEAKING = {"add_column", "add_row", "Finding", "print", "warning", "info", "error"}


def _name(node: ast.expr) -> str:
    """What a placeholder stands for; one name, however its value is computed."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call(func=inner) | ast.Subscript(value=inner):
            return _name(inner)
    return "…"


def _template(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(
                f"{{{_name(part.value)}}}"
                if isinstance(part, ast.FormattedValue)
                else str(getattr(part, "value", ""))
                for part in parts
            )
    return None


def _speaks(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        return True
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in SPEAKING or name.endswith("Error")
    return False


def _literals(node: ast.AST, *, spoken: bool) -> Iterator[tuple[str, bool]]:
    """Each literal below a node, and whether it is part of what a call says; no docstrings."""
    if (text := _template(node)) is not None:
        yield text, spoken
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from _literals(child, spoken=spoken or _speaks(node))


def _of_module(file: Path) -> Iterator[str]:
    in_report = file.relative_to(PACKAGE).parts[0] == "report"
    for text, spoken in _literals(ast.parse(file.read_text(encoding="utf-8")), spoken=False):
        one_word = r"[A-Z][a-z]+" if in_report else r"[a-z]{2,}" if spoken else r"(?!)"
        if (TWO_WORDS.search(text) or re.fullmatch(one_word, text)) and not NO_PROSE.search(text):
            yield text


def _of_template(file: Path) -> Iterator[str]:
    """The text between tags, and the literals of more than one word in expressions."""
    source = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", file.read_text(encoding="utf-8"))
    text = ""
    for _, kind, value in jinja2.Environment().lex(source):
        match kind:
            case "data":
                text += value
            case "variable_begin":
                text += "{…}"
            case "block_begin":
                text += "\0"
            case "string" if TWO_WORDS.search(value):
                yield value[1:-1]
    for part in re.split(r"<[^<>]*>|\0", re.sub(r"\0(?=[^<>]*>)", " ", text)):
        if re.search("[A-Za-z]{2}", part):
            yield " ".join(part.split())


def phrases() -> str:
    """All phrases of the package, each on one line."""
    found = {text for file in PACKAGE.rglob("*.py") for text in _of_module(file)}
    found |= {text for file in PACKAGE.rglob("*.j2") for text in _of_template(file)}
    return "".join(f"{line}\n" for line in sorted(x.strip().replace("\n", "\\n") for x in found))


def _commands() -> list[list[str]]:
    (choices,) = (
        action.choices
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return [[], *([name] for name in choices)]


def helps(capsys: pytest.CaptureFixture[str]) -> str:
    """What ``--help`` prints, of the program and of every command."""
    pages = []
    for command in _commands():
        status: str | int | None
        try:
            status = main([*command, "--help"])
        except SystemExit as exit_:
            status = exit_.code
        assert status == 0
        pages.append(f"$ {' '.join(['harness', *command, '--help'])}\n{capsys.readouterr().out}")
    return "\n".join(pages)


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    """Each ``N_WORDS`` words in a row of a text."""
    for run in re.split(r"[^A-Za-z' ]+", text):
        words = run.lower().split()
        yield from (tuple(words[n : n + N_WORDS]) for n in range(len(words) - N_WORDS + 1))


def _asserted(tree: ast.AST) -> Iterator[ast.AST]:
    """What a test compares with: in an assert, as ``match=``, as a parameter."""
    for node in ast.walk(tree):
        match node:
            case ast.Assert(test=test):
                yield test
            case ast.keyword(arg="match", value=value):
                yield value
            case ast.Call(func=ast.Attribute(attr="parametrize"), args=args):
                yield from args


def prose(file: Path, known: set[tuple[str, ...]]) -> set[str]:
    """The literals that a test compares with and that repeat what ``words.txt`` holds."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = {
        text
        for node in _asserted(tree)
        for text, _ in _literals(node, spoken=False)
        if not NOT_OURS.search(text)
    }
    return {text for text in found if known & set(_runs(text.replace("\\", "")))}


def test_the_words_of_the_package(golden: Golden) -> None:
    found = phrases()
    assert golden(HERE / "words.txt", found) == found


def test_the_help_of_every_command(
    golden: Golden, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    found = helps(capsys)
    assert golden(HERE / "help.txt", found) == found


def test_no_other_test_repeats_them() -> None:
    """Another test asserts the class, the key, the value, the status; see ``tests/facts.py``."""
    lines = (HERE / "words.txt").read_text(encoding="utf-8").replace("\\n", " ").splitlines()
    known = {run for line in lines for run in _runs(re.sub(r"\{[^}]*\}", "#", line))}
    found = {
        file.name: repeated
        for file in (REPOSITORY / "tests").rglob("*.py")
        if (repeated := prose(file, known))
    }
    assert found == {}
