"""Where the code is in an answer, and which program it becomes."""

import ast
import textwrap
import time
from collections.abc import Sized
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scorers.answers.code import assemble_program, extract_code

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


BODY = "    return a + b"


def indented(code: str, width: int = 4) -> str:
    return textwrap.indent(code, " " * width)


SHARED_LINES = {
    # a fence shares its line with text or code
    "text before opening": (f"Here is the code: ```python\n{ADD}\n```\nDone.", ADD, True),
    "text before opening, no language": (f"Here is the code: ```\n{ADD}\n```", ADD, True),
    "tag before and after": (f"<answer>```python\n{ADD}\n```</answer>", ADD, True),
    "bold before": (f"**Solution:** ```py\n{ADD}\n```", ADD, True),
    "code on the opening line": (f"```python {ADD}\n```", ADD, True),
    "code on the opening line, glued": (f"```python{ADD}\n```", ADD, True),
    "code on bare opening line": (f"```{ADD}\n```", ADD, True),
    "import on opening line": (f"```python import math\n{ADD}\n```", f"import math\n{ADD}", True),
    "closing after code": (f"```python\n{ADD}```\nDone.", ADD, True),
    "closing after code spaced": (f"```python\n{ADD} ```", ADD, True),
    "closing after code, text": (f"```python\n{ADD}``` This adds.", ADD, True),
    "closing, then text": (f"```python\n{ADD}\n``` This adds.", ADD, True),
    "closing then text then usage": (
        f"```python\n{ADD}\n``` This adds.\n```python\nadd(1, 2)\n```",
        ADD,
        True,
    ),
    "one line": ("```python def add(a, b): return a + b```", "def add(a, b): return a + b", True),
    "one line in text": (
        "Use ```def add(a, b): return a + b``` please.",
        "def add(a, b): return a + b",
        True,
    ),
    "next opens before closed": (f"```python\n{OLD}\n```python\n{ADD}\n```", ADD, True),
    "text and opening inside": (f"```python\n{ADD}\n```text\n3\n```", ADD, True),
    "text before both": (f"A: ```python\n{OLD}\n``` and B: \n```python\n{ADD}``` end", ADD, True),
    "ticks in a string": (
        "```python\ndef add(a, b):\n    x = '```'\n    return a + b\n```",
        "def add(a, b):\n    x = '```'\n    return a + b",
        True,
    ),
    "ticks in docstring line": (
        '```python\ndef add(a, b):\n    """Use ```add``` or\n    see ```\n    """\n'
        "    return a + b\n```",
        'def add(a, b):\n    """Use ```add``` or\n    see ```\n    """\n    return a + b',
        True,
    ),
    "pairs in a comment": (
        "```python\ndef add(a, b):  # use ```add```\n    return a + b\n```",
        "def add(a, b):  # use ```add```\n    return a + b",
        True,
    ),
    "inline before": (f"Use ```add``` here: ```python\n{ADD}\n```", ADD, True),
    "shorter ticks in longer fence": (f"````python\n{ADD}```\n````", f"{ADD}```", True),
    "blockquote": ("> ```python\n> def add(a, b):\n>     return a + b\n> ```", ADD, True),
    "list and text": (f"1. First: ```python\n{ADD}\n```", ADD, True),
    "cut, text before": (f"Here: ```python\n{ADD}", ADD, False),
    "tilde text after": (f"~~~python\n{ADD}\n~~~\nend", ADD, True),
    "attributes": (f"```python title='x'\n{ADD}\n```", ADD, True),
    "heading": (f"### Code ```python\n{ADD}\n```", ADD, True),
    "outer markdown": (f"```markdown\n# Solution\n```python\n{ADD}\n```\n```", ADD, True),
    "split on ticks": (
        "```python\ndef add(a, b):\n    'x```y'.split('```')\n    return a + b\n```",
        "def add(a, b):\n    'x```y'.split('```')\n    return a + b",
        True,
    ),
    "title after a colon": (f"```python:solution.py\n{ADD}\n```", ADD, True),
    "closing, then a full stop": (f"```python\n{ADD}\n```.\nDone", ADD, True),
    "closing, then a tag": (f"```python\n{ADD}\n```<br>", ADD, True),
    "in parentheses": (f"(```python\n{ADD}\n```)", ADD, True),
    "closing after a comment": (f"```python\n{ADD}  # it's```", f"{ADD}  # it's", True),
    "draft in the line, then a block": (
        f"Not ```python def add(a, b): return a - b``` but\n{fenced(ADD)}",
        ADD,
        True,
    ),
}
UNOPENED = {
    # a fence closes what none opened
    "stray at end": (f"{ADD}\n```", ADD, True),
    "stray then text": (f"{ADD}\n```\nThis adds.", ADD, True),
    "stray glued": (f"{ADD}```\nThis adds.", ADD, True),
    "stray, prose before": (f"Here it is:\n\n{ADD}\n```\nThis adds.", ADD, True),
    "left-over language": (f"python\n{ADD}\n```\nThis adds.", ADD, True),
    "stray after complete": (f"```python\n{ADD}\n```\n```", ADD, True),
    "stray after complete text": (f"```python\n{ADD}\n```\n```\nThis adds.", ADD, True),
    "stray before": (f"```\n```python\n{ADD}\n```", ADD, True),
    "stray before with text": (f"```\nSure:\n```python\n{ADD}\n```", ADD, True),
    "stray then usage": (f"{ADD}\n```\nUse:\n```python\nadd(1, 2)\n```", ADD, True),
    "stray then bare usage": (f"{ADD}\n```\nUse:\n```\nadd(1, 2)\n```\nok", ADD, True),
    "stray then better": (f"{OLD}\n```\nNo:\n```python\n{ADD}\n```", ADD, True),
    "stray body": (f"{BODY}\n```", BODY, True),
    "stray body text": (f"{BODY}\n```\n\nThis adds.", BODY, True),
    "stray body usage": (f"{BODY}\n```\n\nUse\n```python\nadd(1,2)\n```", BODY, True),
    "stray text after fence": (f"{ADD}\n``` This adds.", ADD, True),
    "stray tildes": (f"{ADD}\n~~~\nThis adds.", ADD, True),
    "constant before": (f"Code:\nM = 7\n# the sum\n{ADD}\n```", f"M = 7\n# the sum\n{ADD}", True),
    "flipped": (f"Text\n```\nHere:\n```\n{ADD}\n```", ADD, True),
    "decorated": (
        f"Sure.\nfrom functools import cache\n\n@cache\n{ADD}\n```",
        f"from functools import cache\n\n@cache\n{ADD}",
        True,
    ),
    "only stray": ("```", None, False),
    "prose stray": ("I cannot.\n```", None, False),
    "double stray": (f"{ADD}\n```\n```", ADD, True),
    "stray body, glued": (f"{BODY}```", BODY, True),
    "call after it": (f"{ADD}\n\nprint(add(1, 2))\n```\n3", f"{ADD}\n\nprint(add(1, 2))", True),
    "guarded import": (
        f"try:\n    import math\nexcept ImportError:\n    pass\n{ADD}\n```",
        f"try:\n    import math\nexcept ImportError:\n    pass\n{ADD}",
        True,
    ),
    "four ticks": (f"{ADD}\n````", ADD, True),
}
INDENTED_OR_UNSEEN = {
    # indentation of the whole program; characters that cannot be seen
    "indented inside": (f"```python\n{indented(ADD)}\n```", ADD, True),
    "indented by one": (f"```python\n{indented(ADD, 1)}\n```", ADD, True),
    "indented by tab": (
        "```python\n\tdef add(a, b):\n\t\treturn a + b\n```",
        "def add(a, b):\n\treturn a + b",
        True,
    ),
    "indented unfenced": (indented(ADD), ADD, True),
    "indented, import": (
        f"```python\n{indented('import math' + chr(10) * 2 + ADD)}\n```",
        f"import math\n\n{ADD}",
        True,
    ),
    "indented, string flush": (
        '```python\n    def add(a, b):\n        """\nflush\n        """\n        return a + b\n```',
        'def add(a, b):\n    """\nflush\n    """\n    return a + b',
        True,
    ),
    "indented body": (f"```python\n{BODY}\n```", BODY, True),
    "body with nested namesake": (
        "```python\n    def add(x):\n        return x\n    return add(a) + b\n```",
        "    def add(x):\n        return x\n    return add(a) + b",
        True,
    ),
    "method only": (
        "```python\nclass S:\n    def add(self): pass\n```",
        "class S:\n    def add(self): pass",
        True,
    ),
    "indented class method": (
        "```python\n    class S:\n        def add(self): pass\n```",
        "    class S:\n        def add(self): pass",
        True,
    ),
    "indented fence deeper code": (f"  ```python\n{indented(ADD, 6)}\n  ```", ADD, True),
    "bom before fence": (f"\ufeff```python\n{ADD}\n```", ADD, True),
    "zwsp before fence": (f"Text\n\u200b```python\n{ADD}\n\u200b```", ADD, True),
    "zwsp indented": (f"Text\n  \u200b```python\n{ADD}\n```\u200b", ADD, True),
    "word joiner": (f"\u2060```python\n{ADD}\n```\u2060\nDone", ADD, True),
    "nbsp before fence": (f"\u00a0```python\n{ADD}\n\u00a0```", ADD, True),
    "zwsp in list": (f"1. \u200b```python\n{ADD}\n```", ADD, True),
    "bom before code": (f"\ufeff{ADD}", ADD, True),
    "bom in block": (f"```python\n\ufeff{ADD}\n```", ADD, True),
    "zwsp after language": (f"```python\u200b\n{ADD}\n```", ADD, True),
    "zwsp before info": (f"```\u200bpython\n{ADD}\n```", ADD, True),
    "zwsp closing glued": (f"```python\n{ADD}\n\u200b``` Done", ADD, True),
    "crlf stray": (f"{ADD}\n```\nx".replace("\n", "\r\n"), ADD.replace("\n", "\r\n"), True),
    "crlf indented": (
        f"```python\n{indented(ADD)}\n```".replace("\n", "\r\n"),
        ADD.replace("\n", "\r\n"),
        True,
    ),
    "crlf text before": (
        f"Here: ```python\n{ADD}\n```".replace("\n", "\r\n"),
        ADD.replace("\n", "\r\n"),
        True,
    ),
    "tabs after spaces": (
        "```python\n  \tdef add(a, b):\n  \t    return a + b\n```",
        ADD,
        True,
    ),
    "indented, with a guard": (
        f"```python\n{indented(ADD)}\n\n    if __name__ == '__main__':\n        add(1, 2)\n```",
        f"{ADD}\n\nif __name__ == '__main__':\n    add(1, 2)",
        True,
    ),
    "indented among sentences": (f"Here:\n\n{indented(ADD)}\n\nDone.", ADD, True),
    "a method among sentences": (
        "Here:\n\nclass A:\n    def add(self): pass",
        "Here:\n\nclass A:\n    def add(self): pass",
        True,
    ),
    "unseen on every line": (
        "\u200b```python\n\u200bdef add(a, b):\n\u200b    return a + b\n\u200b```",
        ADD,
        True,
    ),
    "direction marks": (f"\u200e```python\n{ADD}\n\u200e```", ADD, True),
    "soft hyphen": (f"\u00ad```python\n{ADD}\n```", ADD, True),
    "ideographic space": (f"\u3000```python\n{ADD}\n\u3000```", ADD, True),
}
PROSE = {
    # sentences around code that stands in no block
    "prose before": (f"Here is the solution:\n\n{ADD}", ADD, True),
    "prose after": (f"{ADD}\n\nThis function adds.", ADD, True),
    "prose that begins with a keyword": (f"{ADD}\n\nFor example, it adds.", ADD, True),
    "prose around": (f"Sure, I can help.\n{ADD}\nIt's simple: it adds.", ADD, True),
    "title before": (f"Solution:\n{ADD}", ADD, True),
    "bold title before": (f"**Solution**:\n{ADD}", ADD, True),
    "language before": (f"python\n{ADD}", ADD, True),
    "tags around": (f"[PYTHON]\n{ADD}\n[/PYTHON]", ADD, True),
    "HTML tags around": (f"<code>\n{ADD}\n</code>", ADD, True),
    "list after": (f"{ADD}\n\n1. The function takes two.\n- It adds.", ADD, True),
    "label after": (f"{ADD}\n\nNote: this function adds.", ADD, True),
    "prose after a body": (f"{BODY}\n\nThis function adds.", BODY, True),
    "import after prose": (f"I use math.\nimport math\n{ADD}", f"import math\n{ADD}", True),
    # and what looks like them but is code
    "call after": (f"{ADD}\nprint(add(1, 2))", f"{ADD}\nprint(add(1, 2))", True),
    "statements after": (
        f"{ADD}\nx: int = 1\nfor i in x: pass\nassert x is x",
        f"{ADD}\nx: int = 1\nfor i in x: pass\nassert x is x",
        True,
    ),
    "prose in a string": (
        'def add(a, b):\n    """\nThis function adds.\n"""\n    return a + b',
        'def add(a, b):\n    """\nThis function adds.\n"""\n    return a + b',
        True,
    ),
    "statement before": (
        f"if True:\n    import math\n{ADD}",
        f"if True:\n    import math\n{ADD}",
        True,
    ),
    "annotation before": (f"M: int\n{ADD}", f"M: int\n{ADD}", True),
    "no code": ("This is a text.\nAnd no code.", "This is a text.\nAnd no code.", True),
}
SHOWN = {
    # the signature alone, in a block after the solution
    "signature after": (f"{fenced(ADD)}\nIt has:\n{fenced('def add(a, b):')}", ADD, True),
    "signature with types": (
        f"{fenced(ADD)}\n{fenced('def add(a: tuple[int, int] = (1, 2), b=3) -> int:')}",
        ADD,
        True,
    ),
    "dots after": (f"{fenced(ADD)}\n{fenced('def add(a, b):' + chr(10) + '    ...')}", ADD, True),
    "docstring after": (
        f"{fenced(ADD)}\n" + fenced('def add(a, b):\n    """Adds."""\n    # here\n    pass'),
        ADD,
        True,
    ),
    "nothing but a signature": (
        fenced("def add(a, b):\n    pass"),
        "def add(a, b):\n    pass",
        True,
    ),
    "cut off in a better one": (
        f"{fenced(ADD)}\n```python\ndef add(a, b):",
        "def add(a, b):",
        False,
    ),
    "a worse one after": (f"{fenced(ADD)}\n{fenced(OLD)}", OLD, True),
    "language in its own line": (f"```\npython\n{ADD}\n```", ADD, True),
    "quoted without a blank": (">```python\n>def add(a, b):\n>    return a + b\n>```", ADD, True),
}
EVERY_EXTRACTION = {
    **EXTRACTIONS,
    **SHARED_LINES,
    **UNOPENED,
    **INDENTED_OR_UNSEEN,
    **PROSE,
    **SHOWN,
}


@pytest.mark.parametrize("name", EVERY_EXTRACTION, ids=lambda name: name.replace(" ", "-"))
def test_extraction(name: str) -> None:
    answer, code, is_complete = EVERY_EXTRACTION[name]
    assert extract_code(answer, "add") == (code, is_complete)


def test_no_name_is_used_twice() -> None:
    tables: tuple[Sized, ...] = (
        EXTRACTIONS,
        SHARED_LINES,
        UNOPENED,
        INDENTED_OR_UNSEEN,
        PROSE,
        SHOWN,
    )
    assert len(EVERY_EXTRACTION) == sum(len(table) for table in tables)


PROMPT = '''from typing import List
import math


def helper(x):
    """Of the problem."""
    return math.floor(x)


def add(a: float, b: float) -> float:
    """Adds."""
'''


def run(program: str) -> dict[str, Any]:
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
    "\u200b", "> ",
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
    "piece",
    [
        "```\n",
        "```python\n",
        "    ",
        "\n",
        "`",
        "def add",
        "~~~ ",
        "1. ",
        "\u200b",
        "> ",
        '"""',
        "``` x ",
        "```def add(a):",
        "    def add(a):\n```\n",
        "def add(a): x```\n",
        "def add(a):\n",
        "def add((a)\n",
        "def add(a):\n#\n",
        "python\ndef add(a):\n",
        "```\ndef add(a):\n```\n",
    ],
)
def test_time_is_linear(piece: str) -> None:
    """Twenty times the text takes well under four hundred times the time, as squares would."""

    def seconds(count: int) -> float:
        answer = piece * count + "x y"
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            code, _complete = extract_code(answer, "add")
            assemble_program(PROMPT, code or "", "add")
            best = min(best, time.process_time() - start)
        return best

    assert seconds(40_000) < 150 * max(seconds(2_000), 0.001)


def test_blocks_are_not_joined() -> None:
    helper, function = "def helper(x):\n    return x", "def add(a, b):\n    return helper(a) + b"
    answer = f"```python\n{helper}\n```\nand\n```python\n{function}\n```"
    assert extract_code(answer, "add").code == function


def test_assembled_programs_keep_their_helpers_once() -> None:
    program = assemble_program(PROMPT, ADD, "add")
    names = [node.name for node in ast.parse(program).body if isinstance(node, ast.FunctionDef)]
    assert names == ["helper", "add"]
