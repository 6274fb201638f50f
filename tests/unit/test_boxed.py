"""The final answer in a text: which box counts, and that no text makes finding it slow."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scorers.answers.boxed import extract_boxed

FOUND = {
    "one box": (r"So $x = \boxed{12}$.", "12"),
    "the last of several": (r"First \boxed{20} seems right. But then it is \boxed{30}.", "30"),
    "braces inside": (r"\boxed{\frac{1+\sqrt{5}}{2}}", r"\frac{1+\sqrt{5}}{2}"),
    "escaped braces inside": (r"\boxed{\left\{1,\frac12\right\}}", r"\left\{1,\frac12\right\}"),
    "one escaped brace inside": (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
    "fbox": (r"Thus \fbox{42}.", "42"),
    "white space before the brace": ("\\boxed \n {7}", "7"),
    "no brace": (r"we get $\boxed 7$.", "7"),
    "no brace, several digits": (r"we get $\boxed 12$.", "12"),
    "no brace, a letter": (r"we get $\boxed x$.", "x"),
    "backslash written twice": (r"So \\boxed{7}", "7"),
    "all backslashes written twice": (r"So \\boxed{\\frac{1}{2}}", r"\frac{1}{2}"),
    "a nested box is its outer one": (r"\boxed{x = \boxed{7}}", r"x = \boxed{7}"),
    "an empty box before": (r"I will use \boxed{}. It is \boxed{9}.", "9"),
    "an empty box after": (r"It is \boxed{9}, in \boxed{} as told.", "9"),
    "placeholders after": (r"It is \boxed{9}. \boxed{\text{answer}} \boxed{\ldots} \boxed{?}", "9"),
    "joined by and": (r"$x=\boxed{1}$ and $x=\boxed{2}$", "1, 2"),
    "joined by or": (r"either $\boxed{1}$ or $\boxed{2}$.", r"1 \text{ or } 2"),
    "joined by commas": (r"\boxed{1}, \boxed{2}, and \boxed{3}", "1, 2, 3"),
    "joined by text or": (r"$\boxed{1}\text{ or }\boxed{2}$", r"1 \text{ or } 2"),
    "joined by a hedge": (r"\boxed{1} (or possibly \boxed{2})", r"1 \text{ or } 2"),
    "joined by another sentence": (r"\boxed{1}. Alternatively, \boxed{2}.", r"1 \text{ or } 2"),
    "items of a list": ("The roots:\n- $\\boxed{1}$\n- $\\boxed{2}$", "1, 2"),
    "numbered items": ("1. \\boxed{1}\n2. \\boxed{2}", "1, 2"),
    "a list, then a sentence": ("- \\boxed{1}\n- \\boxed{2}\n\nSo it is \\boxed{3}.", "3"),
    "named outside": (r"$m = \boxed{7}$ and $b = \boxed{5}$", "m = 7, b = 5"),
    "a number named outside": (r"$x = \boxed{7}$", "7"),
    "a formula named outside": (r"$y = \boxed{2x+3}$", "y = 2x+3"),
    "a formula beside more than a name": (r"$2y = \boxed{2x+3}$", "2x+3"),
    "no brace, a quotient": (r"we get $\boxed 1/2$.", "1/2"),
    "no brace, thousands": (r"we get $\boxed 12,345$.", "12,345"),
    "no brace, a sign": (r"we get $\boxed -5$.", "-5"),
    "no brace, a fraction": (r"we get $\boxed \frac{1}{2}$.", r"\frac{1}{2}"),
    "no brace, in prose": (r"we get \boxed 7, since $x$ is 3", "7"),
    "joined by nothing": (r"$\boxed{1}$ $\boxed{2}$", "1, 2"),
    "the same box twice is one": (r"\boxed{5} and \boxed{5}", "5"),
    "words between are no joint": (r"The width is \boxed{3} and the height is \boxed{5}.", "5"),
    "a new line is no joint": ("\\boxed{9}\n\n\\boxed{8}", "8"),
    "a box after one that never closes": (r"\boxed{12. No: \boxed{13}.", "13"),
    "open braces before": ("{" * 1000 + r"\boxed{77}", "77"),
    "closing brace forgotten in a formula": (r"It is $\boxed{\frac{3}{7}$. Done.", r"\frac{3}{7}"),
    "statement": ("The final answer is 7!", "7"),
    "statement with dollars": ("The answer is $7$. I hope it is correct.", "$7$"),
    "statement in bold throughout": ("**Answer: 7**", "7"),
    "statement with a reason": ("The answer is 7 because 3+4=7.", "7"),
    "statement on a line": ("Answer: 7\n", "7"),
    "statement in words": ("The answer is Evelyn.", "Evelyn"),
    "joined by a slash": (r"\boxed{7}/\boxed{8}", "7, 8"),
    "last statement": ("The answer is 7. No, the answer is 8.\n", "8"),
    "hedged statement": ("The answer is 7 or 8. Or 9.", "7 or 8"),
}  # fmt: skip
PERHAPS_CUT = {
    "a number": ("The answer is therefore 12", "12"),
    "a number and a point": ("The answer is 7.", "7"),
    "a negation": ("The answer is not 7 but 8.", "not 7 but 8"),
    "after a decimal point": ("The answer is 7.25.", "7.25"),
    "a choice": ("The answer is (A", "(A"),
    "a formula": (r"The answer to the question is $\frac{1", r"$\frac{1"),
    "after bold": ("**Answer:** 7", "7"),
    "a box without braces": (r"we get \boxed 12", "12"),
    "a box without braces and a point": (r"we get \boxed 12.", "12"),
}
NOT_FOUND = {
    "nothing": "",
    "white space": " \n\t ",
    "a number without a word": "We know 7 is prime.",
    "the last number is no answer": "Dividing 120 by 2 gives 60",
    "an empty box": r"The answer is \boxed{}.",
    "a blank box": r"The answer is \boxed{ }.",
    "a question mark": r"\boxed{?}",
    "an invitation": r"\boxed{\text{insert answer here}}",
    "an underline": r"\boxed{\_\_\_}",
    "a phantom": r"\boxed{\phantom{0}}",
    "a question": "Is the answer: 5?",
    "a statement without end": "answer is " * 10_000,
    "a statement of great length": "Final answer: " + "1 " * 50_000,
    "the word boxed": r"Put it in \boxed format.",
}
CUT = {
    "in a number": r"the total is $\boxed{12",
    "in a fraction": r"the total is $\boxed{\frac{1}{",
    "after an earlier box": r"First \boxed{5}. Then \boxed{1",
    "after a statement": r"The answer is 5, that is \boxed{5",
    "before its content": r"the total is $\boxed{",
    "after a line": "\\boxed{12\n",
}


@pytest.mark.parametrize(("text", "answer"), FOUND.values(), ids=FOUND)
def test_finds(text: str, answer: str) -> None:
    assert extract_boxed(text) == (answer, True)


@pytest.mark.parametrize(("text", "answer"), PERHAPS_CUT.values(), ids=PERHAPS_CUT)
def test_an_answer_that_ends_where_the_text_does_is_not_known_to_be_whole(
    text: str, answer: str
) -> None:
    assert extract_boxed(text) == (answer, False)


@pytest.mark.parametrize("text", NOT_FOUND.values(), ids=NOT_FOUND)
def test_finds_nothing(text: str) -> None:
    assert extract_boxed(text) == (None, True)


@pytest.mark.parametrize("text", CUT.values(), ids=CUT)
def test_a_box_cut_at_the_end_is_no_answer_and_hides_earlier_ones(text: str) -> None:
    assert extract_boxed(text) == (None, False)


HOSTILE = {
    "opening boxes": r"\boxed{",
    "closed boxes": r"\boxed{1}",
    "boxes joined by commas": r"\boxed{1},",
    "bare boxes": r"\boxed ",
    "braces": "{",
    "closing braces": "}",
    "dollars": "$",
    "backslashes": "\\",
    "anchors": "answer is ",
    "fillers": "answer: : ",
    "dots": r"\boxed{\dots}",
    "blanks": "\\boxed{" + " " * 50 + "}",
    "cut formulas": r"$\boxed{\frac{",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_takes_linear_time(piece: str) -> None:
    """Ten times the text takes nowhere near a hundred times as long."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        started = time.process_time()
        extract_boxed(text)
        return time.process_time() - started

    short = min(seconds(20_000) for _ in range(3))
    assert min(seconds(200_000) for _ in range(3)) < 50 * max(short, 1e-3)


PIECES = st.sampled_from(
    ["\\boxed{", "\\fbox{", "}", "{", "\\boxed 3", "$", "\\{", "\\\\", " and ", ", ", "x=", "12",
     "\n", "The answer is ", "\\text{", "\\dots", "?", ".", "**", "</think>"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60))
@settings(derandomize=True, max_examples=400, deadline=None)
def test_takes_any_text(text: str) -> None:
    found = extract_boxed(text)
    assert found == extract_boxed(text)
    assert found.text is None or found.text.strip()
    if found.is_complete:
        assert extract_boxed(f"{text}\n") == found
    if "oxed" not in text and "fbox" not in text and "answer" not in text.lower():
        assert found == (None, True)


@given(st.from_regex(r"[0-9a-z+\-^{}]{1,12}", fullmatch=True), st.text(max_size=40))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_what_stands_before_a_box_does_not_matter(content: str, before: str) -> None:
    if content.count("{") == content.count("}") and "}" not in content.split("{", maxsplit=1)[0]:
        box = f"\\boxed{{{content}}}"
        expected = extract_boxed(box)
        if expected.text is not None and "\\" not in before and "oxed" not in before:
            assert extract_boxed(before + " so\n" + box) == expected
