"""Files of other harnesses, written by those harnesses' own code.

The two logs of lm-evaluation-harness were written by lm_eval 0.4.13 (`simple_evaluate` and its
`EvaluationTracker`) from a model of canned answers, the evalplus file by `evaluate` of evalplus
0.3.1 on two problems.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.analysis.comparison.side import Side, side_of_log
from harness.cli.main import main
from harness.errors import UserError
from harness.interop.readers import harness_of, open_log
from tests.facts import mentions

CASES = Path(__file__).parent / "cases"
MATH = CASES / "samples_minerva_math500_2026-11-22T00-48-36.262234.jsonl"
CODE = CASES / "samples_humaneval_2026-11-22T00-48-24.655419.jsonl"
EVALPLUS = CASES / "evalplus_eval_results.json"


def read(file: Path, task: str | None = None) -> Side:
    return side_of_log(open_log(file, task))


def tallies(side: Side) -> dict[str, tuple[int, int]]:
    """By problem, of the log's only task: how many were solved, of how many."""
    (task,) = side.tasks.values()
    return {name: each.tally[:2] for name, each in task.problems.items()}


def fields(side: Side) -> dict[str, Any]:
    (task,) = side.tasks.values()
    return task.fields


def statuses(side: Side) -> dict[str, list[Any]]:
    (task,) = side.tasks.values()
    return {name: [status for status, _ in p.answers] for name, p in task.problems.items()}


def test_a_maths_log_is_read_under_our_ids_with_the_better_of_its_metrics() -> None:
    log = read(MATH)
    assert (log.name.source, list(log.tasks)) == ("lm-evaluation-harness", ["math500"])
    assert tallies(log) == {
        "math500/test/algebra/2584.json": (1, 1),
        "math500/test/algebra/2036.json": (1, 1),  # exact_match missed that sqrt(117) = 3 sqrt(13)
        "math500/test/number_theory/1032.json": (0, 1),
        "math500/test/intermediate_algebra/134.json": (0, 1),
    }
    assert log.name.unknown_problems == 0
    assert fields(log)["scorer"] == "lm-evaluation-harness math_verify"
    assert fields(log)["temperature"] == 0.0
    assert fields(log)["stop"] == ["Problem:"]
    assert not {"seed", "max_new_tokens", "template_sha256", "prompt_sha256"} & fields(log).keys()


def test_several_samples_with_one_figure_keep_no_status_of_their_own() -> None:
    log = read(CODE)
    assert tallies(log) == {
        "humaneval/HumanEval/0": (1, 2),
        "humaneval/HumanEval/1": (0, 2),
        "humaneval/HumanEval/2": (2, 2),
    }
    assert list(statuses(log).values()) == [
        [None, None],
        ["incorrect", "incorrect"],
        ["correct", "correct"],
    ]
    assert fields(log)["max_new_tokens"] == 1024
    assert fields(log)["samples_per_problem"] == 2


def test_an_evalplus_file_gives_each_sample_its_base_status() -> None:
    log = read(EVALPLUS)
    assert statuses(log) == {
        "humaneval/HumanEval/0": ["correct", "incorrect"],
        "humaneval/HumanEval/2": ["correct", "correct"],
    }
    assert fields(log).keys() == {"task", "subset_sha256", "samples_per_problem", "scorer"}
    assert log.name.subject == {}


def test_a_maths_problem_without_an_id_is_found_by_its_text(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(shared_data))
    rows = [json.loads(line) for line in MATH.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        del row["doc"]["unique_id"]
    rows[0]["doc"]["problem"] = "What is 1 + 1?"
    rows[0]["arguments"] = {}
    log = read(written(tmp_path, rows))
    assert log.name.unknown_problems == 1
    assert list(tallies(log)) == list(tallies(read(MATH)))[1:]


def test_of_several_filters_the_first_counts(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in MATH.read_text(encoding="utf-8").splitlines()]
    again = [{**row, "filter": "other", "math_verify": 0} for row in rows]
    assert tallies(read(written(tmp_path, rows + again))) == tallies(read(MATH))


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "samples_minerva_math500_2026-01-01T00-00-00.0.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"doc": {"question": "?"}, "arguments": None}, "math500 … --task"),
        ({"doc": [1]}, "line 1 … doc: [1]: … object"),
        ({"math_verify": 0.5}, "line 1 … math_verify: 0.5"),
        ({"resps": []}, "line 1 … resps"),
    ],
)
def test_what_is_wrong_with_a_log_is_said_in_one_line(
    tmp_path: Path,
    change: dict[str, Any],
    words: str,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(shared_data))
    row = json.loads(MATH.read_text(encoding="utf-8").splitlines()[0])
    with pytest.raises(UserError) as caught:
        read(written(tmp_path, [{**row, **change}]))
    assert mentions(str(caught.value), words)
    assert "\n" not in str(caught.value)


def test_a_document_that_stands_twice_is_refused(tmp_path: Path) -> None:
    row = json.loads(MATH.read_text(encoding="utf-8").splitlines()[0])
    with pytest.raises(UserError, match="twice"):
        read(written(tmp_path, [row, row]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pass@1": float("inf")}, "line 1 … pass@1: inf"),
        ({"filtered_resps": [[]]}, "line 1 … filtered_resps"),
        (
            {"arguments": {"gen_args_0": {"arg_0": "", "arg_1": {"temperature": "hot"}}}},
            "line 1 … arguments.temperature: 'hot'",
        ),
    ],
)
def test_odd_values_of_a_log_are_named(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    row = json.loads(CODE.read_text(encoding="utf-8").splitlines()[0])
    with pytest.raises(UserError) as caught:
        read(written(tmp_path, [{**row, **change}]))
    assert mentions(str(caught.value), words)


def test_a_log_that_is_damaged_further_down_is_refused(tmp_path: Path) -> None:
    file = tmp_path / CODE.name
    for damage in (b" " * 5000 + b"\xff", b"[" * 100_000):
        file.write_bytes(CODE.read_bytes() + b"\n" + damage + b"\n")
        with pytest.raises(UserError, match="line 5"):
            read(file)


def test_a_verdict_that_evalplus_does_not_give_is_no_failure(tmp_path: Path) -> None:
    file = tmp_path / "x_eval_results.json"
    sample = {"solution": "", "base_status": None}
    file.write_text(json.dumps({"date": "", "hash": "", "eval": {"HumanEval/0": [sample]}}))
    with pytest.raises(UserError, match=r"HumanEval/0.*base_status: None"):
        read(file)


def test_other_tasks_of_evalplus_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x_eval_results.json"
    file.write_text('{"date": "", "hash": "", "eval": {"Mbpp/2": []}}')
    assert main(["grade", "python", str(file)]) == 2
    assert mentions(capsys.readouterr().err, "Mbpp … --task")


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


# --- inspect and evalscope --------------------------------------------------------------------

FOREIGN = CASES / "foreign"
INSPECT = FOREIGN / "inspect_gsm8k.eval"
INSPECT_ERROR = FOREIGN / "inspect_math_mini.eval"
EVALSCOPE = FOREIGN / "evalscope"


@pytest.fixture
def real_data(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(shared_data))
    return shared_data


def test_an_inspect_log_is_read_with_epochs_protocol_tokens_and_model(real_data: Path) -> None:
    side = read(INSPECT)
    assert tallies(side) == {
        "gsm8k/0000": (2, 2),
        "gsm8k/0001": (1, 2),
        "gsm8k/0002": (1, 2),
        "gsm8k/0003": (0, 2),
    }
    known = {"temperature": 0.6, "top_p": 0.95, "max_new_tokens": 512, "samples_per_problem": 2}
    assert known.items() <= fields(side).items()
    assert fields(side)["scorer"] == "inspect match"
    assert not {"top_k", "prompt_sha256", "template_sha256", "fewshot"} & fields(side).keys()
    assert side.name.subject == {"model": "mockllm/gegenprobe/canned", "seed": 7}
    problem = side.tasks["gsm8k"].problems["gsm8k/0000"]
    assert problem.tokens == [28, 8]
    assert len(problem.their_latency_s) == 2
    assert not problem.times


def test_a_sample_that_failed_in_inspect_is_an_error_and_no_wrong_answer() -> None:
    (task,) = read(INSPECT_ERROR).tasks.values()
    failed = task.problems["math_mini/mini/algebra/2-a.json"]
    assert failed.tally == (0, 0, 1)
    assert failed.answers == [("generation_error", None)]


def test_a_folder_of_evalscope_is_read_with_what_lies_beside_its_reviews(real_data: Path) -> None:
    side = read(EVALSCOPE)
    assert tallies(side) == {
        "gsm8k/0000": (2, 2),
        "gsm8k/0001": (2, 2),
        "gsm8k/0002": (0, 2),
        "gsm8k/0003": (0, 2),
    }
    # Examples and system prompt are known to be off.
    known = {"temperature": 0.6, "max_new_tokens": 512, "fewshot": None, "system_prompt": None}
    assert known.items() <= fields(side).items()
    assert side.name.subject == {"model": "canned", "seed": 7}
    assert side.tasks["gsm8k"].problems["gsm8k/0000"].tokens == [17, 17]


@pytest.mark.parametrize(
    ("stated", "known"),
    [
        ({}, {}),
        ({"few_shot_num": None, "system_prompt": None}, {"system_prompt": None}),
        (
            {"few_shot_num": 4, "system_prompt": "Be brief."},
            {"fewshot": 4, "system_prompt": "Be brief."},
        ),
    ],
)
def test_what_evalscope_leaves_out_is_unknown_and_not_off(
    real_data: Path, tmp_path: Path, stated: dict[str, Any], known: dict[str, Any]
) -> None:
    folder = shutil.copytree(EVALSCOPE, tmp_path / "run")
    file = folder / "configs" / "task_config.yaml"
    config = yaml.safe_load(file.read_text("utf-8"))
    config["resolved_benchmarks"]["gsm8k"] = stated
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    found = fields(read(folder))
    assert {k: found[k] for k in ("fewshot", "system_prompt") if k in found} == known


def test_reviews_that_lie_alone_say_nothing_of_the_protocol(
    real_data: Path, tmp_path: Path
) -> None:
    (file,) = EVALSCOPE.glob("reviews/*/*.jsonl")
    alone = tmp_path / file.name
    alone.write_bytes(file.read_bytes())
    side = read(alone)
    assert tallies(side) == tallies(read(EVALSCOPE))
    assert "temperature" not in fields(side)
    assert side.name.subject == {}


def test_the_thoughts_of_an_inspect_log_are_no_answer(real_data: Path) -> None:
    found = next(iter(open_log(INSPECT)))
    assert found.entry.answers[0].output == (
        "<think>\nAdd them.\n</think>\n\nThe answer is \\boxed{18}: 18"
    )
    cut = [each.entry.answers[0].is_truncated for each in open_log(INSPECT)]
    assert cut == [False, False, False, True, False, False, False, False]


def test_a_task_of_an_unknown_name_is_named_by_the_user(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file,) = EVALSCOPE.glob("reviews/*/*.jsonl")
    alone = tmp_path / "sums_main.jsonl"
    alone.write_bytes(file.read_bytes())
    assert main(["compare", str(alone), str(INSPECT)]) == 2
    assert mentions(capsys.readouterr().err, "sums_main.jsonl … sums … --task")
    assert tallies(read(alone, "gsm8k")) == tallies(read(EVALSCOPE))
    with pytest.raises(UserError, match=r"math_mini.*--task"):
        read(alone, "math_mini")


def test_two_logs_of_other_harnesses_are_compared(
    real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(EVALSCOPE), str(INSPECT), "--json"]) == 0
    (candidate,) = json.loads(capsys.readouterr().out)["candidates"]
    (task,) = candidate["tasks"]
    assert (task["task"], task["problems"]) == ("gsm8k", 4)
    unknown = candidate["protocol_unknown"]["gsm8k"]
    assert {"fewshot", "system_prompt"} <= set(unknown)
    assert [each["field"] for each in candidate["protocol_mismatch"]] == ["scorer"]
    assert [each["field"] for each in candidate["subject_differences"]] == ["model"]


def test_looking_at_a_pipe_takes_nothing_from_it(tmp_path: Path) -> None:
    pipe = tmp_path / "answers"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)  # neither end waits for the other
    try:
        os.write(descriptor, b'{"doc_id": 1}\n')
        assert harness_of(pipe) is None
        assert os.read(descriptor, 100) == b'{"doc_id": 1}\n'
    finally:
        os.close(descriptor)
