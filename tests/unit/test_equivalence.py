"""Which answers are the same answer: the project's own cases, and what must hold for any text."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scorers.equivalence.checker import Comparison, Equivalence, library_versions

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "cases" / "math_cases.json").read_text(encoding="utf-8")
)


@pytest.fixture(scope="module")
def equivalence() -> Iterator[Equivalence]:
    with Equivalence(workers=2, pair_limit_s=600) as equivalence:
        yield equivalence


@pytest.mark.parametrize("gold", dict.fromkeys(case["gold"] for case in CASES))
def test_own_cases(equivalence: Equivalence, gold: str) -> None:
    wrong = []
    for case in CASES:
        if case["gold"] == gold:
            found = equivalence.compare(gold, case["answer"])
            assert found.status in {"ok", "unparsed"}, case
            if found.is_equal != case["expected"]:
                wrong.append((case["answer"], case["expected"], case["reason"], found))
    assert not wrong


def test_own_cases_cover_the_policy() -> None:
    """Every case says why, right and wrong answers are both there, none is there twice."""
    assert all(case["reason"] for case in CASES)
    assert len({(case["gold"], case["answer"]) for case in CASES}) == len(CASES)
    assert len(Counter(case["category"] for case in CASES)) >= 40
    right = sum(case["expected"] for case in CASES)
    assert min(right, len(CASES) - right) > 300


@pytest.mark.parametrize(
    ("gold", "answer", "route"),
    [
        ("7", "7", "string"),
        (r"\frac{1}{2}", r"\dfrac {1}{2}.", "string"),
        ("1024", "2^{10}", "typed"),
        (r"\text{east}", "East", "typed"),
        ("x^2-1", "(x-1)(x+1)", "typed"),
        (r"\sqrt{8}", r"2\sqrt{2}", "algebra"),
        (r"\sum_{k=1}^n k^2", r"\sum_{k=1}^n k\cdot k", "algebra"),
        (r"\sqrt{8}", r"\gcd(12,18)", "typed"),
        (r"\sqrt{8}", r"\input{x}", "none"),
    ],
)
def test_says_what_decided(equivalence: Equivalence, gold: str, answer: str, route: str) -> None:
    assert equivalence.compare(gold, answer).route == route


def test_a_gold_that_cannot_be_read_is_told_from_a_wrong_answer(equivalence: Equivalence) -> None:
    assert equivalence.compare(r"\oint F", "3").status == "gold_unparsed"
    assert equivalence.compare(r"\oint F", r"\oint  F.").is_equal
    assert equivalence.compare("3", r"\oint F").status == "unparsed"


def test_a_gold_with_a_sum_is_read(equivalence: Equivalence) -> None:
    gold = r"\sum_{k=1}^n \frac{1}{k}"
    assert equivalence.compare(gold, r"\sum_{k=1}^n k").status == "ok"
    assert equivalence.compare(gold, r"\oint F").status == "unparsed"
    assert equivalence.compare(gold, "(1, 2)") == Comparison(False, "typed")
    assert equivalence.compare(gold + "+i", gold + "-i") == Comparison(False, "algebra")


@pytest.mark.parametrize("gold", ["2i", "(1, 2)", r"\text{east}", "x_1", r"\pm 2", "||x|+1|"])
def test_no_answer_makes_a_readable_gold_unreadable(equivalence: Equivalence, gold: str) -> None:
    for answer in (r"\gcd(12,18)", r"\sum_{k=1}^n k", r"\oint F", "f(x+1)", r"\max(i, 1)"):
        found = equivalence.compare(gold, answer)
        assert not found.is_equal
        assert found.status in {"ok", "unparsed"}, (answer, found)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\sum_{k=1}^{n} k^2", r"\sum_{k=1}^{N} k^2"),
        (r"\int_0^1 x^x\,dx", r"\int_0^1 x^x"),
        (r"\lim_{x\to 0} \frac{f(x)}{x}", r"\lim_{x\to 0} \frac{f'(x)}{x}"),
        (r"\gcd(a,b)", "1"),
        ("6", r"\gcd(6.00000001,18)"),
        ("f(x+1)+2", "fx+f+2"),
        ("f(x+1)+2", "f(x+1)+2_8"),
        ("f'(x)-f(x)", "0"),
    ],
)
def test_what_math_verify_alone_credits_is_refused(
    equivalence: Equivalence, gold: str, answer: str
) -> None:
    from math_verify import parse, verify

    alone = [parse(f"${text}$", parsing_timeout=None) for text in (gold, answer)]
    assert verify(*alone, timeout_seconds=None), "no longer a trap"
    assert not equivalence.compare(gold, answer).is_equal


def test_says_which_libraries_decided() -> None:
    versions = library_versions()
    assert set(versions) == {"mpmath"}
    assert all(versions.values())


def test_strings_and_numbers_are_compared_without_mpmath() -> None:
    """The calling process stays small: no library, no process before it is needed."""
    script = (
        "import sys\n"
        "from harness.scorers.equivalence.checker import Equivalence\n"
        "found = Equivalence().compare('1024', '2^{10}')\n"
        "assert found.is_equal, found\n"
        "heavy = {'sympy', 'mpmath', 'math_verify', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_algebra_outside_of_a_with_block_is_refused_not_waited_for() -> None:
    outside = Equivalence()
    assert outside.compare("7", "7.0").is_equal
    with pytest.raises(RuntimeError, match="entered"):
        outside.compare(r"\sqrt{8}", r"2\sqrt{2}")


def test_threads_get_the_same_verdicts(equivalence: Equivalence) -> None:
    pairs = [(case["gold"], case["answer"]) for case in CASES[::5]]
    alone = [equivalence.compare(*pair) for pair in pairs]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda pair: equivalence.compare(*pair), pairs)) == alone


# --- what must hold for any answer ------------------------------------------------------------

DIGITS = st.integers(-99, 99).map(str)
LEAVES = DIGITS | st.sampled_from(["x", "y", r"\pi", "e", "i", "0.5", r"\theta", "1.25", "t"])


def _grow(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(parts, parts).map(lambda p: rf"\frac{{{p[0]}}}{{{p[1]}}}"),
        st.tuples(parts, parts).map(lambda p: f"({p[0]})+({p[1]})"),
        st.tuples(parts, parts).map(lambda p: f"({p[0]})({p[1]})"),
        st.tuples(parts, st.integers(0, 4)).map(lambda p: f"({p[0]})^{{{p[1]}}}"),
        parts.map(lambda p: rf"\sqrt{{{p}}}"),
        parts.map(lambda p: rf"\sin({p})"),
        parts.map(lambda p: f"|{p}|"),
        st.lists(parts, min_size=2, max_size=3).map(lambda p: "(" + ",".join(p) + ")"),
        st.lists(parts, min_size=1, max_size=3).map(lambda p: r"\{" + ",".join(p) + r"\}"),
        parts.map(lambda p: rf"{p}\text{{ cm}}"),
        parts.map(lambda p: f"x={p}"),
    )


ANSWERS = st.recursive(LEAVES, _grow, max_leaves=6)
PIECES = r"""
    \frac \sqrt { } ( ) [ ] ^ _ , ; : = < > | ! % + - \cdot / . 1 23 x ab \pi \text{ \{ \} \left
    \right \pm \cup \in \infty \begin{pmatrix} \end{pmatrix} & \\ \circ \overline or \mathbb{R}
    \text{or} \$ $ ' \log \sin \mathbf{i} \le \setminus \emptyset e5 A
    \sum_{k=1}^{n} \prod_{k=1}^3 \int_0^1 \int dx \lim_{x\to0} \gcd( \max( f f( k
"""
FRAGMENTS = st.lists(st.sampled_from(PIECES.split()), max_size=14).map(" ".join)
FUZZ = settings(derandomize=True, max_examples=300, deadline=None)


@given(ANSWERS | FRAGMENTS | st.text(max_size=40))
@FUZZ
def test_any_text_is_itself(equivalence: Equivalence, text: str) -> None:
    found = equivalence.compare(text, text)
    assert found.is_equal == bool(text.strip()), found


@given(ANSWERS | FRAGMENTS, FRAGMENTS | st.text(max_size=40))
@FUZZ
def test_any_pair_gets_one_verdict(equivalence: Equivalence, gold: str, answer: str) -> None:
    first = equivalence.compare(gold, answer)
    assert first.status != "timeout"
    assert equivalence.compare(gold, answer) == first
    if first.route == "none" and first.status != "ok":
        assert not first.is_equal


BODIES = st.recursive(
    DIGITS | st.sampled_from(["k", "x", r"\pi", "k^2"]),
    lambda parts: st.one_of(
        st.tuples(parts, parts).map(lambda p: f"({p[0]})+({p[1]})"),
        st.tuples(parts, parts).map(lambda p: f"({p[0]})({p[1]})"),
        parts.map(lambda p: rf"\frac{{{p}}}{{2}}"),
        parts.map(lambda p: p if "f" in p else f"f({p})"),
    ),
    max_leaves=4,
)


@given(BODIES, st.sampled_from([r"\sum", r"\prod"]))
@settings(FUZZ, max_examples=60)
def test_an_index_may_have_any_name_but_not_any_end(
    equivalence: Equivalence, body: str, sign: str
) -> None:
    gold = rf"{sign}_{{k=1}}^{{n}} ({body})"
    renamed = body.replace("k", "j")
    assert equivalence.compare(gold, rf"{sign}\limits_{{j=1}}^n\left({renamed}\right)").is_equal
    assert not equivalence.compare(gold, rf"{sign}_{{j=1}}^{{n-1}} ({renamed})").is_equal
    assert not equivalence.compare(gold, rf"{sign}_{{j=1}}^{{n}} ({renamed}+1)").is_equal


@given(st.fractions(max_denominator=50), st.fractions(max_denominator=50))
@FUZZ
def test_fractions_are_equal_when_they_are(equivalence: Equivalence, one: Any, two: Any) -> None:
    gold = rf"\frac{{{one.numerator}}}{{{one.denominator}}}"
    same = rf"\frac{{{one.numerator * 6}}}{{{one.denominator * 6}}}"
    assert equivalence.compare(gold, same).is_equal
    assert equivalence.compare(gold, f"{two.numerator}/{two.denominator}").is_equal == (one == two)


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=4, unique=True), st.randoms())
@FUZZ
def test_lists_have_no_order_and_tuples_have(
    equivalence: Equivalence, numbers: list[int], random: Any
) -> None:
    shuffled = random.sample(numbers, len(numbers))
    gold, answer = (", ".join(map(str, each)) for each in (numbers, shuffled))
    assert equivalence.compare(gold, answer).is_equal
    assert equivalence.compare(rf"\{{{gold}\}}", rf"\{{{answer}\}}").is_equal
    assert equivalence.compare(f"({gold})", f"({answer})").is_equal == (numbers == shuffled)
    assert not equivalence.compare(f"({gold})", rf"\{{{answer}\}}").is_equal
    assert not equivalence.compare(gold, answer.rsplit(",", 1)[0]).is_equal
