"""What holds for any text that a model may write, from its thinking to its grade."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import Completion, Grade, MathReference, Problem, Verdict
from harness.runner.pipeline import Question, judge
from harness.scorers.answers.boxed import extract_boxed
from harness.scorers.answers.code import assemble_program, extract_code
from harness.scorers.answers.thinking import split_thinking
from harness.scorers.math_answer import MathAnswerScorer

FUZZ = settings(derandomize=True, max_examples=300, deadline=None)
MATHS = r"""
    \boxed{ \boxed \fbox{ \\boxed{ { } \} \{ $ \( \) \[ \] 5 7 x \frac{1}{2} , and or ; . ? ! **
    answer answer: is final \text{ \text{(A)} \dots ___ = x= \sqrt{8} 2\sqrt{2} \pm % \n \sum
"""
CODE = """
    ``` ```python ```py ```json ~~~ ```` def f(x): return x async import os from __future__ ` \\n
    """
THINKING = ["<think>", "</think>", "<think></think>", "</ think>", "</think", "<THINK>"]
LINES = st.sampled_from(["\n", "\n\n", "\n    ", " ", "\t", "\r\n", "\x0c", "\u2028"])


def jumbled(pieces: str) -> st.SearchStrategy[str]:
    words = st.sampled_from(pieces.split()) | LINES | st.text(max_size=5)
    return st.lists(words, max_size=25).map("".join)


TEXTS = st.one_of(
    jumbled(MATHS),
    jumbled(CODE),
    st.lists(st.sampled_from(THINKING) | jumbled(MATHS), max_size=8).map("".join),
    st.text(max_size=60),
)
UNMARKED = TEXTS.filter(lambda text: "think>" not in text.lower())
"""Thoughts and answers; what marks in them do is in test_thinking.py."""


@given(thought=UNMARKED, answer=UNMARKED, opened=st.booleans())
@FUZZ
def test_the_answer_is_what_follows_the_last_end_of_thinking(
    thought: str, answer: str, opened: bool
) -> None:
    split = split_thinking(f"{thought}\n</think>\n{answer}", prompt_opened_think=opened)
    assert (split.answer or "").strip() == answer.strip()


@given(text=UNMARKED)
@FUZZ
def test_thinking_that_never_ends_has_no_answer(text: str) -> None:
    assert split_thinking(text, prompt_opened_think=True).answer is None
    assert split_thinking(f"<think>{text}", prompt_opened_think=False).answer is None


@given(text=TEXTS)
@FUZZ
def test_a_box_gives_what_stands_in_the_text(text: str) -> None:
    found = extract_boxed(text)
    assert extract_boxed(text) == found
    if found.text is not None:
        assert found.is_complete
        for part in found.text.split(", "):
            assert part in text or part in text.replace("\\\\", "\\")


@given(before=TEXTS, content=st.text("0123456789x+-^/= ").map(lambda text: f"7{text}".strip()))
@FUZZ
def test_the_last_box_is_the_answer_whatever_came_before(before: str, content: str) -> None:
    found = extract_boxed(f"{before}\n\nTherefore the result is $\\boxed{{{content}}}$.")
    assert found.text == content


@given(text=TEXTS, prompt=st.just('import math\n\ndef f(x):\n    """Doc."""\n'))
@FUZZ
def test_code_gives_what_stands_in_the_text(text: str, prompt: str) -> None:
    found = extract_code(text, "f")
    assert extract_code(text, "f") == found
    if found.code is None:
        return
    assert found.code == found.code.rstrip()
    # A fence may share a line with code, so a line of code can be a part of a line of the text.
    assert all(line.strip() in text for line in found.code.split("\n"))
    program = assemble_program(prompt, found.code, "f")
    assert program.endswith("\n")
    assert "import math" in program


# --- the grade --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scorer() -> Iterator[MathAnswerScorer]:
    with MathAnswerScorer(workers=1, pair_limit_s=600) as scorer:
        yield scorer


def graded(scorer: MathAnswerScorer, gold: str, text: str) -> Verdict:
    problem = Problem(problem_id="t/1", question="?", reference=MathReference(answer=gold))
    completion = Completion(
        request_id="t/1#0",
        text=text,
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
        reasoning_tokens=None,
    )
    verdict = judge(Question(problem, False, scorer), completion)
    return verdict.model_copy(update={"wall_s": 0.0})


def without_time(grade: Grade) -> Grade:
    return grade.model_copy(update={"wall_s": 0.0})


@given(thought=UNMARKED, answer=UNMARKED)
@settings(FUZZ, max_examples=150)
def test_thinking_never_moves_a_grade(scorer: MathAnswerScorer, thought: str, answer: str) -> None:
    alone = graded(scorer, "5", f"</think>\n{answer}")
    assert graded(scorer, "5", f"{thought}\n</think>\n{answer}") == alone
    assert graded(scorer, "5", f"\\boxed{{5}}\n</think>\n{answer}") == alone
    assert alone.status in {"correct", "incorrect", "no_answer"}


@given(text=TEXTS, gold=st.sampled_from(["5", r"\sqrt{8}", r"\text{(A)}", "x^2+1", r"\{1,2\}"]))
@settings(FUZZ, max_examples=150)
def test_any_text_gets_one_grade_that_is_no_error_of_ours(
    scorer: MathAnswerScorer, text: str, gold: str
) -> None:
    first = without_time(scorer.grade_output(gold, text))
    assert without_time(scorer.grade_output(gold, text)) == first
    assert first.status in {"correct", "incorrect", "no_answer"}
    assert "timeout" not in first.detail
    assert (first.extracted is None) == (first.status == "no_answer")


@given(before=UNMARKED, gold=st.sampled_from(["5", r"\frac{1}{2}", r"\sqrt{8}", r"\text{east}"]))
@settings(FUZZ, max_examples=100)
def test_a_gold_in_the_last_box_is_correct(
    scorer: MathAnswerScorer, before: str, gold: str
) -> None:
    output = f"{before}\n</think>\n\nTherefore the answer is $\\boxed{{{gold}}}$."
    assert scorer.grade_output(gold, output).status == "correct"
