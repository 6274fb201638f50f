"""Where the code is in an answer, and which program it becomes."""

import ast
import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.answers.code import assemble_program, extract_code

ADD = "def add(a, b):\n    return a + b"
OLD = "def add(a, b):\n    return a - b"


def fenced(code: str, info: str = "python", fence: str = "```") -> str:
    return f"{fence}{info}\n{code}\n{fence}"


EXTRACTIONS = {
    # what the answer looks like -> (answer, code, is_complete)
    "one block": (f"Here:\n{fenced(ADD)}\nDone.", ADD, True),
    "no language": (fenced(ADD, ""), ADD, True),
    "py": (fenced(ADD, "py"), ADD, True),
    "capitals and attributes": (fenced(ADD, "Python3 title='x'"), ADD, True),
    "braces": (fenced(ADD, "{.python}"), ADD, True),
    "tildes": (fenced(ADD, "python", "~~~"), ADD, True),
    "four ticks around three": (fenced(f"{ADD}\n```", "python", "````"), f"{ADD}\n```", True),
    "indented fence": (textwrap.indent(fenced(ADD), "   "), ADD, True),
    "fence in a list": (f"1. {textwrap.indent(fenced(ADD), '   ').strip()}", ADD, True),
    "tabs": (f"\t```python\n\t{ADD.splitlines()[0]}\n\t    return a + b\n\t```", ADD, True),
    "no block": (ADD, ADD, True),
    "only a body, unfenced": ("    return a + b\n", "    return a + b", True),
    "only a body, fenced": (fenced("    return a + b"), "    return a + b", True),
    "body after blank lines": ("\n\n    return a + b", "    return a + b", True),
    "last that defines wins": (f"{fenced(OLD)}\nNo:\n{fenced(ADD)}", ADD, True),
    "usage after it": (f"{fenced(ADD)}\nUse it:\n{fenced('print(add(1, 2))')}", ADD, True),
    "output after it": (f"{fenced(ADD)}\nprints\n{fenced('3', 'text')}", ADD, True),
    "tests of another name": (f"{fenced(ADD)}{chr(10)}{fenced('def add_all(): ...')}", ADD, True),
    "a method does not define it": (
        f"{fenced(ADD)}\n{fenced('class A:' + chr(10) + '    def add(self): pass')}",
        ADD,
        True,
    ),
    "asynchronous": (fenced("async def add(a, b): pass"), "async def add(a, b): pass", True),
    "none defines: the last": (f"{fenced('x = 1')}\n{fenced('y = 2')}", "y = 2", True),
    "none in Python: the last": (f"{fenced('x', 'c')}\n{fenced('y', 'java')}", "y", True),
    "Python before another": (f"{fenced('x = 1')}\n{fenced('ls', 'bash')}", "x = 1", True),
    "cut off": (f"So:\n```python\n{ADD}", ADD, False),
    "cut off after a complete one": (f"{fenced(ADD)}\nor\n```python\nimport ma", ADD, True),
    "cut off, but it defines": (f"{fenced(OLD)}\n```python\n{ADD}", ADD, False),
    "fences inside a docstring": (
        fenced(
            'def add(a, b):\n    """\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b'
        ),
        'def add(a, b):\n    """\n    ```\n    add(1, 2)\n    ```\n    """\n    return a + b',
        True,
    ),
    "code in the line is no block": ("Use ```add``` or\n" + fenced(ADD), ADD, True),
    "carriage returns": (fenced(ADD).replace("\n", "\r\n"), ADD.replace("\n", "\r\n"), True),
    "trailing space after fences": (f"```python  \n{ADD}\n```  \n", ADD, True),
    "blank lines around": (fenced(f"\n\n{ADD}\n\n"), ADD, True),
    "empty": ("", None, True),
    "white space": (" \n\t\n", None, True),
    "an empty block": ("Here:\n```python\n```\n", None, True),
    "an opened block": ("Here:\n```python", None, False),
}


@pytest.mark.parametrize("name", EXTRACTIONS, ids=lambda name: name.replace(" ", "-"))
def test_extraction(name: str) -> None:
    answer, code, is_complete = EXTRACTIONS[name]
    assert extract_code(answer, "add") == (code, is_complete)


PROMPT = '''from typing import List
import math


def helper(x):
    """Of the problem."""
    return math.floor(x)


def add(a: float, b: float) -> float:
    """Adds."""
'''


def run(program: str) -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "program"}
    exec(compile(program, "program", "exec"), namespace)
    return namespace


@pytest.mark.parametrize(
    "code",
    [
        "    return a + b",
        "def add(a, b): return a + b",
        "def add(a: List, b) -> List:\n    return helper(a) + math.floor(b)",
        "from __future__ import annotations\n\ndef add(a: Undefined, b): return a + b",
        "import math\nfrom typing import *\n\n\nclass A: pass\n\n\ndef add(a, b): return a + b\n",
        "    total = a\n\n    total += b\n    return total\n\ndef other(): pass",
        PROMPT + "    return a + b",
        "def add(a, b):\n    def helper(x): return x\n    return helper(a) + b",
    ],
    ids=range(8),
)
def test_programs_work(code: str) -> None:
    program = run(assemble_program(PROMPT, code, "add"))
    assert program["add"](1, 2) == 3
    assert program["helper"](1.5) == 1


def test_a_prompt_without_its_last_newline() -> None:
    assert run(assemble_program("def f(x):", "    return x", "f"))["f"](3) == 3


def test_a_name_is_not_a_pattern() -> None:
    assert extract_code(fenced("x = 1") + "\n" + fenced("y = 2"), "a.(b").code == "y = 2"
    assert "def f" in assemble_program(PROMPT, "def f(): pass", "f.")


# fmt: off
PIECES = st.sampled_from([
    "```", "~~~", "````", "`", "python", "py", "text", "add", ":", "return", "1. ", "- ", "\u2028",
    "async def add", "def add(", "\n", "\r\n", "    ", "\t", " ", "x = 1", "\x0c",
    "from __future__ import",
])
# fmt: on
ANSWERS = st.text() | st.lists(PIECES, max_size=40).map("".join)


@settings(deadline=None, derandomize=True)
@given(ANSWERS, ANSWERS)
def test_any_text_is_handled(answer: str, prompt: str) -> None:
    code, is_complete = extract_code(answer, "add")
    assert is_complete or "```" in answer or "~~~" in answer
    if code is None:
        return
    assert code.strip()
    lines = answer.replace("\r", "").split("\n")
    assert all(
        any(line in whole for whole in lines) for line in code.replace("\r", "").split("\n")
    ), "code that the answer does not have"
    assert code.strip().splitlines()[-1].strip() in assemble_program(prompt, code, "add")


@settings(deadline=None, derandomize=True)
@given(
    st.sampled_from(["", "Well.\n"]), st.sampled_from(["```", "~~~", "`````"]), st.integers(0, 3)
)
def test_a_fenced_program_is_found_unchanged(before: str, fence: str, indent: int) -> None:
    block = textwrap.indent(fenced(ADD, "python", fence), " " * indent)
    assert extract_code(before + block + "\nafter", "add") == (ADD, True)


@pytest.mark.parametrize(
    "piece", ["```\n", "```python\n", "    ", "\n", "`", "def add", "~~~ ", "1. "]
)
def test_time_is_linear(piece: str) -> None:
    """Twenty times the text takes well under four hundred times the time, as squares would."""

    def seconds(count: int) -> float:
        answer = piece * count
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            code, _complete = extract_code(answer, "add")
            assemble_program(PROMPT, code or "", "add")
            best = min(best, time.process_time() - start)
        return best

    assert seconds(200_000) < 150 * max(seconds(10_000), 0.001)


def test_assembled_programs_keep_their_helpers_once() -> None:
    program = assemble_program(PROMPT, ADD, "add")
    names = [node.name for node in ast.parse(program).body if isinstance(node, ast.FunctionDef)]
    assert names == ["helper", "add"]
