"""What people read first: ``harness`` alone, and the help of each command."""

import argparse

import pytest

from harness.cli.arguments import build_parser
from harness.cli.main import main
from harness.cli.overview import EXAMPLES, PURPOSES, START
from harness.errors import UserError
from tests.facts import mentions

COMMANDS = [name for names in PURPOSES.values() for name in names]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    return build_parser()


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (found,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    return dict(found.choices)


def words_of(line: str) -> list[str]:
    """A command's words, without what a line says beside it."""
    return line.strip().partition("   ")[0].split()[1:]


def test_every_command_has_one_purpose(parser: argparse.ArgumentParser) -> None:
    assert sorted(COMMANDS) == sorted(commands_of(parser))
    assert EXAMPLES.keys() == set(COMMANDS) - {"run"}  # which writes its own help


def test_every_command_is_listed_once_with_what_it_does(parser: argparse.ArgumentParser) -> None:
    lines = parser.format_help().splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and "-" not in line[:4]]
    assert listed == COMMANDS


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {"completion"}))
def test_every_example_is_accepted(parser: argparse.ArgumentParser, name: str) -> None:
    words = words_of(EXAMPLES[name].partition(" > ")[0])
    assert parser.parse_args(words).command == name
    assert EXAMPLES[name] in commands_of(parser)[name].format_help()


def test_without_a_command_it_says_where_to_begin(
    parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == UserError.exit_status
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", START)
    named = [words_of(line) for line in START.splitlines() if line.startswith("  harness ")]
    assert {words[0] for words in named} >= {"run", "nightly", "compare"}  # three kinds of users
    assert all(words[0] == "run" or parser.parse_args(words) for words in named)


def test_a_mistake_names_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", "--top", "x"]) == UserError.exit_status
    assert "harness leaderboard --help" in capsys.readouterr().err
    assert main(["nope"]) == UserError.exit_status
    assert "harness --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["validate", "nope"], "nope: … manifest.json … harness status"),
        (["export", "lm-eval", "a", "b"], "RUN: 2 … one"),
        (["export", "lm-eval", "a", "--source-url", "x"], "--source-url: … eval-results … leave"),
        (["leaderboard", "--results-dir", "/nowhere"], "--results-dir /nowhere: … runs/"),
        (["claims", "--id", "zzz"], "--id zzz: … harness claims --all"),
    ],
)
def test_a_refusal_is_a_line_with_what_would_be_right(
    capsys: pytest.CaptureFixture[str], arguments: list[str], facts: str
) -> None:
    assert main(arguments) == UserError.exit_status
    out, err = capsys.readouterr()
    assert mentions(err, facts)
    assert (out, err.count("\n")) == ("", 1)
