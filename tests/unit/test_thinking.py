"""How models mark their thoughts, and what is left of an output without them."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from harness.scorers.answers.boxed import extract_boxed
from harness.scorers.answers.code import extract_code
from harness.scorers.answers.marks import (
    STYLES,
    Marks,
    Reasoning,
    Style,
    StyleName,
    as_protocol_field,
    detect,
    has_marks,
    without_marks,
)
from harness.scorers.answers.thinking import is_inside_thought, split_thinking
from harness.store.fingerprint import fingerprint

FILE = Path(__file__).parent / "cases" / "thought_cases.jsonl"
CASES = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
FUZZ = settings(derandomize=True, max_examples=60, deadline=None)
OWN = Style("<plan>\n", "</plan>")
EVERY = [pytest.param(name, style, id=name) for name, style in STYLES.items()]
# Without the characters of all marks; single line breaks only, as any may end a text.
THOUGHTS = st.text(
    st.sampled_from("abc 5.,{}\\$\"'`#()=\n") | st.characters(codec="ascii", categories=["L", "N"]),
    max_size=60,
)
ANSWERS = st.sampled_from(
    [
        "\\boxed{7}",
        "The answer is 7.",
        "Two lines\n\n$\\boxed{\\frac{1}{2}}$ and `code`",
        "```python\ndef f(x):\n    return x\n```",
        "```python\ndef f(s):\n    return s.split('</think>')[-1]\n```\nIt cuts.",
        "no answer here",
        "",
    ]
)


def given_marks(case: dict[str, Any]) -> Reasoning:
    given = case.get("reasoning")
    return Marks(**given) if isinstance(given, dict) else given


def split(text: str, reasoning: Reasoning = None, *, opened: bool = False) -> str | None:
    return split_thinking(text, prompt_opened_think=opened, reasoning=reasoning).answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_the_answer_of_a_known_case(case: dict[str, Any]) -> None:
    answer = split(case["output"], given_marks(case), opened=case.get("opened", False))
    assert (None if answer is None else answer.strip()) == case["answer"]


def test_every_style_has_a_case_that_ends_and_one_that_does_not() -> None:
    for name, style in STYLES.items():
        mine = [case for case in CASES if case["output"].lstrip().startswith(style.open.strip())]
        assert {case["answer"] is None for case in mine} == {True, False}, name


# --- whatever the text ------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "style"), EVERY)
@given(thought=THOUGHTS, answer=ANSWERS)
@FUZZ
def test_a_thought_before_an_answer_never_changes_it(
    name: StyleName, style: Style, thought: str, answer: str
) -> None:
    text = f"{style.open}{thought}\n{style.close}\n{answer}"
    for reasoning in (name, None):
        assert (split(text, reasoning) or "").strip() == answer.strip()
    if style.may_begin_in_prompt:
        opened = f"{thought}\n{style.close}\n{answer}"
        assert (split(opened, name, opened=True) or "").strip() == answer.strip()


@pytest.mark.parametrize(("name", "style"), EVERY)
@given(thought=THOUGHTS, cut=st.integers(0, 60), before=st.sampled_from(["", "\n", " "]))
@FUZZ
def test_a_thought_that_is_cut_off_never_gives_an_answer(
    name: StyleName, style: Style, thought: str, cut: int, before: str
) -> None:
    inside = f"\\boxed{{7}} ```python\nx = 1\n```\n{thought}"[:cut]
    text = f"{before}{style.open}{inside}x"
    for reasoning in (name, None):
        assert split(text, reasoning) is None
    assert split(inside, name, opened=True) is None


@pytest.mark.parametrize(("name", "style"), EVERY)
@given(second=THOUGHTS)
@FUZZ
def test_a_second_thought_that_is_cut_off_takes_the_answer_back(
    name: StyleName, style: Style, second: str
) -> None:
    if "\\A" in style.opening:  # words that are a mark at the beginning of an output only
        return
    text = f"{style.open}a\n{style.close}\n\\boxed{{7}}\n{style.open}x{second}"
    assert split(text, name) is None
    assert split(text) is None


@pytest.mark.parametrize(("name", "style"), EVERY)
@given(answer=ANSWERS.filter(bool))
@FUZZ
def test_marks_after_the_answer_with_nothing_behind_them_take_nothing_from_it(
    name: StyleName, style: Style, answer: str
) -> None:
    if not style.may_begin_in_prompt:
        return
    text = f"{style.open}a\n{style.close}\n{answer}\n{style.close}\n"
    assert (split(text, name) or "").strip() == answer.strip()


@pytest.mark.parametrize(("name", "style"), EVERY)
@given(text=THOUGHTS)
@FUZZ
def test_every_character_is_in_the_thought_a_mark_or_the_answer(
    name: StyleName, style: Style, text: str
) -> None:
    whole = f"{style.open}{text}\n{style.close}{text}"
    found = split_thinking(whole, prompt_opened_think=False, reasoning=name)
    assert found.answer == text
    assert found.answer_start == len(whole) - len(text)
    assert found.reasoning.strip() == text.strip()


@given(text=THOUGHTS)
@FUZZ
def test_a_text_without_marks_is_all_answer(text: str) -> None:
    assert split_thinking(text, prompt_opened_think=False) == ("", text, 0)


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>x", "`</think>`", "'<think> ", "<|end|>", "```\n<think>", "x\n"]
)
def test_many_marks_are_read_in_linear_time(piece: str) -> None:
    """The work of one doubling: counted in calls, not in seconds."""
    import sys

    def calls(text: str) -> int:
        count = 0

        def count_one(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal count
            count += event in {"call", "c_call"}

        sys.setprofile(count_one)
        try:
            split_thinking(text, prompt_opened_think=False)
        finally:
            sys.setprofile(None)
        return count

    calls(piece * 10)  # patterns are compiled once
    assert calls(piece * 800) <= 2.2 * calls(piece * 400) + 100


# --- what a model has -------------------------------------------------------------------------


class Holder(BaseModel):
    reasoning: Reasoning = None


@pytest.mark.parametrize("name", get_args(StyleName))
def test_a_style_is_chosen_by_name(name: StyleName) -> None:
    assert name in STYLES
    assert Holder(reasoning=name).reasoning == name


def test_marks_of_its_own_come_from_a_mapping() -> None:
    given = {"open": "<plan>", "close": "</plan>"}
    assert Holder.model_validate({"reasoning": given}).reasoning == Marks(**given)


@pytest.mark.parametrize(
    "wrong",
    [
        "thinks",
        3,
        {"open": "<a>"},
        {"open": "<a>", "close": "<a>"},
        {"open": " ", "close": "b"},
        {"open": "<a>", "close": "</a>", "more": 1},
    ],
)
def test_anything_else_is_one_mistake_that_lists_the_styles(wrong: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        Holder(reasoning=wrong)
    assert len(raised.value.errors()) == 1
    assert "harmony" in raised.value.errors()[0]["msg"]


@pytest.mark.parametrize(("name", "style"), EVERY)
def test_a_style_is_detected_from_template_or_tokens(name: StyleName, style: Style) -> None:
    assert detect(f"…{style.open}…", []) == name
    assert detect(None, [style.open.strip(), style.close]) == name
    assert detect("no marks", [style.close]) == name


def test_nothing_is_detected_where_two_styles_are_or_none() -> None:
    assert detect("<think> and [THINK]", []) is None
    assert detect("plain", ["<|im_end|>"]) is None
    assert detect("<think>\n", ["[THINK]", "[/THINK]"]) == "think", "the template goes before"


def test_the_fingerprint_of_runs_with_think_marks_is_what_it_was() -> None:
    assert as_protocol_field("think") is None
    assert as_protocol_field(None) is None
    others: list[Reasoning] = ["harmony", "kimi", Marks(open="<plan>", close="</plan>")]
    fields = [{"reasoning": as_protocol_field(each)} for each in others]
    assert len({fingerprint(each) for each in fields}) == len(others)


@pytest.mark.parametrize(("name", "style"), EVERY)
def test_a_prompt_that_ends_in_a_thought_is_known(name: StyleName, style: Style) -> None:
    assert is_inside_thought(f"<|assistant|>\n{style.open}", name)
    assert is_inside_thought(f"<|assistant|>\n{style.open}", None)
    assert not is_inside_thought("<|assistant|>\n", name)
    if "\\A" not in style.opening:
        assert is_inside_thought(f"<|assistant|>\n{style.open}Okay, so", name)
        assert not is_inside_thought(f"<|assistant|>\n{style.open}\n{style.close}\n\n", name)


@pytest.mark.parametrize(("name", "style"), EVERY)
def test_marks_are_found_and_taken_out(name: StyleName, style: Style) -> None:
    text = f"{style.open}a{style.close}b"
    assert has_marks(text, name)
    assert has_marks(text, None)
    assert without_marks(text, name).split() == ["a", "b"]
    assert not has_marks("a\nb", name)


def test_code_and_boxes_come_from_the_answer_alone() -> None:
    text = "[THINK]```python\ndef f():\n    return 1\n``` \\boxed{1}[/THINK]\\boxed{2}"
    assert extract_boxed(split(text) or "").text == "2"
    block = "```python\ndef f():\n    return {}\n```"
    text = f"◁think▷{block.format(1)}◁/think▷{block.format(2)}"
    assert extract_code(split(text) or "", "f").code == "def f():\n    return 2"
