"""Files of other harnesses, written by those harnesses' own code.

The two logs of lm-evaluation-harness were written by lm_eval 0.4.13 (`simple_evaluate` and its
`EvaluationTracker`) from a model of canned answers, the evalplus file by `evaluate` of evalplus
0.3.1 on two problems.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import UserError
from harness.interop.readers import harness_of, read_foreign
from tests.facts import mentions

CASES = Path(__file__).parent / "cases"
MATH = CASES / "samples_minerva_math500_2026-11-22T00-48-36.262234.jsonl"
CODE = CASES / "samples_humaneval_2026-11-22T00-48-24.655419.jsonl"
EVALPLUS = CASES / "evalplus_eval_results.json"


def test_a_maths_log_is_read_under_our_ids_with_the_better_of_its_metrics() -> None:
    log = read_foreign(MATH)
    assert (log.harness, log.task, log.left_out) == ("lm-evaluation-harness", "math500", 0)
    assert [(p.problem.problem_id, p.solved, p.judged) for p in log.problems] == [
        ("math500/test/algebra/2584.json", 1, 1),
        ("math500/test/algebra/2036.json", 1, 1),  # exact_match missed that sqrt(117) = 3 sqrt(13)
        ("math500/test/number_theory/1032.json", 0, 1),
        ("math500/test/intermediate_algebra/134.json", 0, 1),
    ]
    assert log.fields["scorer"] == "lm-evaluation-harness math_verify"
    assert log.fields["temperature"] == 0.0
    assert not {"seed", "max_new_tokens", "template_sha256", "prompt_sha256"} & log.fields.keys()


def test_several_samples_with_one_figure_keep_no_status_of_their_own() -> None:
    log = read_foreign(CODE)
    assert log.task == "humaneval"
    assert [(p.problem.problem_id, p.solved, p.judged, p.statuses) for p in log.problems] == [
        ("humaneval/HumanEval/0", 1, 2, (None, None)),
        ("humaneval/HumanEval/1", 0, 2, ("incorrect", "incorrect")),
        ("humaneval/HumanEval/2", 2, 2, ("correct", "correct")),
    ]
    assert log.fields["max_new_tokens"] == 1024
    assert log.fields["samples_per_problem"] == 2


def test_an_evalplus_file_gives_each_sample_its_base_status() -> None:
    log = read_foreign(EVALPLUS)
    assert (log.harness, log.task) == ("evalplus", "humaneval")
    assert [(p.problem.problem_id, p.statuses) for p in log.problems] == [
        ("humaneval/HumanEval/0", ("correct", "incorrect")),
        ("humaneval/HumanEval/2", ("correct", "correct")),
    ]
    assert log.fields.keys() == {"task", "subset_sha256", "samples_per_problem", "scorer"}


def test_a_maths_problem_without_an_id_is_found_by_its_text(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(shared_data))
    rows = [json.loads(line) for line in MATH.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        del row["doc"]["unique_id"]
    rows[0]["doc"]["problem"] = "What is 1 + 1?"
    file = written(tmp_path, rows)
    log = read_foreign(file)
    assert log.left_out == 1
    assert [p.problem.problem_id for p in log.problems] == [
        p.problem.problem_id for p in read_foreign(MATH).problems[1:]
    ]


def test_of_several_filters_the_first_counts(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in MATH.read_text(encoding="utf-8").splitlines()]
    again = [{**row, "filter": "other", "math_verify": 0} for row in rows]
    assert read_foreign(written(tmp_path, rows + again)).problems == read_foreign(MATH).problems


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "samples_minerva_math500_2026-01-01T00-00-00.0.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"doc": {"question": "?"}}, "minerva_math500 … math500"),
        ({"math_verify": 0.5}, "sample 1 … ValueError math_verify=0.5"),
        ({"resps": []}, "sample 1 … IndexError"),
    ],
)
def test_what_is_wrong_with_a_log_is_said_in_one_line(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    row = json.loads(MATH.read_text(encoding="utf-8").splitlines()[0])
    with pytest.raises(UserError) as caught:
        read_foreign(written(tmp_path, [{**row, **change}]))
    assert mentions(str(caught.value), words)
    assert "\n" not in str(caught.value)


def test_a_document_that_stands_twice_is_refused(tmp_path: Path) -> None:
    row = json.loads(MATH.read_text(encoding="utf-8").splitlines()[0])
    with pytest.raises(UserError, match="twice"):
        read_foreign(written(tmp_path, [row, row]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pass@1": float("inf")}, "sample 1 … OverflowError"),
        ({"filtered_resps": [[]]}, "sample 1 … ValueError … filtered"),
        (
            {"arguments": {"gen_args_0": {"arg_1": {"temperature": "hot"}}}},
            "lm-evaluation-harness … 'hot'",
        ),
    ],
)
def test_odd_values_of_a_log_are_named(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    row = json.loads(CODE.read_text(encoding="utf-8").splitlines()[0])
    with pytest.raises(UserError) as caught:
        read_foreign(written(tmp_path, [{**row, **change}]))
    assert mentions(str(caught.value), words)


def test_a_log_that_is_damaged_further_down_is_refused(tmp_path: Path) -> None:
    file = tmp_path / CODE.name
    for damage in (b" " * 5000 + b"\xff", b"[" * 100_000):
        file.write_bytes(CODE.read_bytes() + b"\n" + damage + b"\n")
        with pytest.raises(UserError, match="lm-evaluation-harness"):
            read_foreign(file)


def test_a_verdict_that_evalplus_does_not_give_is_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "x_eval_results.json"
    sample = {"solution": "", "base_status": None}
    file.write_text(json.dumps({"date": "", "hash": "", "eval": {"HumanEval/0": [sample]}}))
    with pytest.raises(UserError, match=r"HumanEval/0 .*evalplus .*: None"):
        read_foreign(file)


def test_other_tasks_of_evalplus_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x_eval_results.json"
    file.write_text('{"date": "", "hash": "", "eval": {"Mbpp/2": []}}')
    assert main(["grade", "python", str(file)]) == 2
    assert "(Mbpp/2 …)" in capsys.readouterr().err


def test_our_own_files_are_nobody_elses(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text('{"id": 1, "output": "", "gold": "1"}\n')
    assert harness_of(lines) is None
    assert harness_of(tmp_path / "missing") is None


def graded(
    capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[tuple[str, str, str | None]]:
    assert main(["grade", *arguments]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [(line["id"], line["status"], line["their_status"]) for line in lines]


def test_their_maths_outputs_get_our_verdict_beside_theirs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert graded(capsys, "math", str(MATH)) == [
        ("math500/test/algebra/2584.json#0", "correct", "correct"),
        ("math500/test/algebra/2036.json#0", "correct", "correct"),
        ("math500/test/number_theory/1032.json#0", "no_answer", "incorrect"),
        ("math500/test/intermediate_algebra/134.json#0", "no_answer", "incorrect"),
    ]


def test_their_programs_get_our_verdict_beside_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    assert graded(capsys, "python", str(CODE)) == [
        ("humaneval/HumanEval/0#0", "correct", None),
        ("humaneval/HumanEval/0#1", "incorrect", None),
        ("humaneval/HumanEval/1#0", "incorrect", "incorrect"),
        ("humaneval/HumanEval/1#1", "incorrect", "incorrect"),
        ("humaneval/HumanEval/2#0", "correct", "correct"),
        ("humaneval/HumanEval/2#1", "correct", "correct"),
    ]


@pytest.mark.parametrize("mark", ["<think>", "[THINK]", "<|channel|>analysis<|message|>"])
def test_a_program_in_an_unfinished_thought_is_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mark: str
) -> None:
    row = json.loads(CODE.read_text(encoding="utf-8").splitlines()[0])
    row["resps"] = [[f"{mark}maybe\n```python\n{text}\n```\nor" for text in row["resps"][0]]]
    file = tmp_path / CODE.name
    file.write_text(f"{json.dumps(row)}\n", encoding="utf-8")
    statuses = {status for _, status, _ in graded(capsys, "python", str(file))}
    assert statuses == {"no_answer"}


def test_the_wrong_kind_of_grading_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", "python", str(MATH)]) == 2
    assert mentions(capsys.readouterr().err, "math500; ", "harness grade math")
