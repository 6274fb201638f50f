"""Runs the cells of a notebook in this interpreter and prints the notebook with their outputs.

What Jupyter does, without its twenty-odd packages: what a cell prints, and the value of its last
expression as text, as HTML where it has one, or as a plot. The first error ends it.
"""

import ast
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any


def main(file: Path) -> None:
    notebook = json.loads(file.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, start=1):
        cell["execution_count"] = number
        cell["outputs"] = outputs("".join(cell["source"]), number, names)
    sys.stdout.write(json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def outputs(source: str, number: int, names: dict[str, Any]) -> list[dict[str, Any]]:
    """What a cell shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"<cell {number}>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"<cell {number}>", "eval"), names)
    shown: list[dict[str, Any]] = []
    if printed.getvalue():
        text = printed.getvalue().splitlines(keepends=True)
        shown.append({"name": "stdout", "output_type": "stream", "text": text})
    if value is not None:
        result = {"execution_count": number, "metadata": {}, "output_type": "execute_result"}
        shown.append({"data": bundle(value), **result})
    return shown


def bundle(value: Any) -> dict[str, Any]:
    """A value in the forms that Jupyter asks it for."""
    if hasattr(value, "to_plotly_json"):
        return {"application/vnd.plotly.v1+json": json.loads(value.to_json())}
    data: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_().splitlines(keepends=True)
    return data


if __name__ == "__main__":
    main(Path(sys.argv[1]))
