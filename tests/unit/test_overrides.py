"""Overrides arrive as they were given, or the message has the line that works."""

import shlex
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.config.overrides import as_typed, how_to_give, quoted, readable
from harness.runner.sweep.words import words

PATHS = [
    "/a=b", "/aü", "/a#b", "/a (1)", "/a&b", "~/a", "/a b", "/a'b", '/a"b', "/a[0]", "/a{b}",
    "/日本", "/a;b", "/a!b", " /a ", "/a\\b", "/a\\'b", "/a\\", "/a$b", "/a\nb", "/a:b", "/a%20b",
]  # fmt: skip
# An interpolation (${…}) is Hydra's own, and a value of the user's at that.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$"), min_size=1)


def value_of(argument: str) -> Any:
    return OverridesParser.create().parse_override(argument).value()


@settings(deadline=None, derandomize=True)
@given(text=TEXTS)
@example(text="\\'")
@example(text="a\\\\'b\\\\")
def test_a_quoted_text_is_read_back(text: str) -> None:
    assert str(value_of(f"model.path={quoted(text)}")) == text
    (argument,) = shlex.split(as_typed("model.path", text))
    assert str(value_of(argument)) == text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_a_path_arrives_as_it_was_given(path: str, sign: str) -> None:
    argument = readable(f"{sign}model.path={path}", is_sweep=False)
    assert str(value_of(argument)) == path


@pytest.mark.parametrize(
    "argument",
    [
        "seed=3", "tasks=[a,b:5]", "tasks=[a", "+engine.args={a: 1}", "seed=range(5)", "x",
        "seed=range(5", "model='x y'", "model='x", "~pricing", "resume=", "--cfg",
        "model.path=${oc.env:HOME}/a",
    ],
)  # fmt: skip
def test_what_may_mean_something_else_stays_as_it_is(argument: str) -> None:
    assert readable(argument, is_sweep=False) == argument


def test_commas_of_a_sweep_stay_commas() -> None:
    assert readable("model.path=/a#1,/a#2", is_sweep=True) == "model.path=/a#1,/a#2"
    assert value_of(readable("model.path=/a#1,/b", is_sweep=False)) == "/a#1,/b"


@pytest.mark.parametrize("override", ["model.path=[a", "model.path='a", "model.path=f("])
def test_the_line_that_a_message_gives_works(override: str) -> None:
    advice = how_to_give(override)
    (argument,) = shlex.split(advice)
    assert str(value_of(argument)) == override.partition("=")[2]
    with pytest.raises(OverrideParseException) as caught:
        OverridesParser.create().parse_overrides([override])
    assert advice in words(caught.value)
