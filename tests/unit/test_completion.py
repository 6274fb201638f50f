"""What could come next on a command line."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.arguments import build_parser
from harness.cli.completion import SCRIPTS, completion
from harness.cli.main import GROUPS
from harness.cli.shell_words import RUN_OPTIONS, complete, split
from harness.io.paths import CONF_DIR, TASKS_DIR


def words(line: str) -> list[str]:
    found = complete(split(line).words, build_parser())
    return [each.word + (" " if each.is_whole else "") for each in found]


def asked(line: str, breaks: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    options = build_parser().parse_args(
        ["completion", "words", f"+{line}", "--breaks", f"+{breaks}"]
    )
    assert isinstance(options, argparse.Namespace)
    assert completion(options) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name in ("20260101T000000Z_a_b_000000", "20260202T000000Z_a_b_000000"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "manifest.json").touch()
    (tmp_path / "runs" / "no_run").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", [""]),
        ("  harness  run ", ["harness", "run", ""]),
        ("harness run 'tasks=[a, b", ["harness", "run", "tasks=[a, b"]),
        ('harness run "a b"c\'d', ["harness", "run", "a bcd"]),
    ],
)
def test_a_line_is_taken_apart_as_a_shell_would(line: str, expected: list[str]) -> None:
    assert split(line).words == expected


def test_every_command_and_every_option_completes() -> None:
    commands = words("harness ")
    assert {"run ", "compare ", "doctor ", "completion "} <= set(commands)
    assert words("harness comp") == ["compare ", "completion "]
    assert words("harness doctor --j") == ["--json "]
    assert "--allow-protocol-mismatch " in words("harness compare --")
    assert words("harness grade ") == ["math ", "python "]
    assert words("harness nonsense ") == []
    assert words("harness --debug doc") == ["doctor "]
    assert words("harness tasks --debug") == []


def test_keys_of_a_run_are_those_of_conf() -> None:
    keys = words("harness run ")
    assert keys[: len(GROUPS)] == [f"{group}=" for group in keys_of_defaults()]
    assert set(keys_of_defaults()) == set(GROUPS)
    assert {"tasks=[", "seed=", "protocol.max_new_tokens=", "sandbox.min_level="} <= set(keys)
    assert {"engine.batch_tokens=", "engine.base_url=", "model.path="} <= set(keys)
    assert not [key for key in keys if key.startswith(("hydra", "defaults", "model.kind"))]
    assert words("harness run protocol.samp") == ["protocol.samples_per_problem="]
    assert words("harness run --") == [f"{name} " for name in RUN_OPTIONS if name != "-m"]
    assert words("harness nightly proto")[:1] == ["protocol="]


def keys_of_defaults() -> list[str]:
    return ["model", "engine", "protocol", "suite", "pricing", "tracker", "experiment"]


def test_values_are_the_choices_there_are() -> None:
    for group in GROUPS:
        choices = sorted(file.stem for file in (CONF_DIR / group).glob("*.yaml"))
        assert words(f"harness run {group}=") == [f"{group}={choice} " for choice in choices]
    assert words("harness run protocol.chat=") == ["protocol.chat=true ", "protocol.chat=false "]
    assert words("harness run protocol.temperature=") == []
    sweep = "harness run -m engine=vllm,trans"
    assert words(sweep) == ["engine=vllm,transformers "]
    assert words("harness claims --id r1-humaneval") == ["r1-humaneval-92 "]
    assert "r1_distill_qwen_7b " in words("harness derive r1")


def test_a_list_of_tasks_grows_by_those_not_in_it() -> None:
    every = sorted(file.parent.name for file in TASKS_DIR.glob("*/task.yaml"))
    assert words("harness run tasks=") == [f"tasks=[{name}" for name in every]
    rest = [name for name in every if name != "humaneval"]
    line = "harness run 'tasks=[humaneval:20,"
    assert words(line) == [f"tasks=[humaneval:20,{name}" for name in rest]
    assert words(f"{line}math_") == ["tasks=[humaneval:20,math_mini"]


def test_runs_complete_by_id_the_newest_first(results: Path) -> None:
    newest, oldest = "20260202T000000Z_a_b_000000", "20260101T000000Z_a_b_000000"
    where = f"--results-dir {results}"
    for command in ("compare", "score", "claims", "report", "merge", "export lm-eval"):
        assert words(f"harness {command} {where} 2026")[-2:] == [f"{newest} ", f"{oldest} "], (
            command
        )
    assert words(f"harness run results_dir={results} resume=") == [
        "resume=auto ",
        f"resume={newest} ",
        f"resume={oldest} ",
    ]


@pytest.mark.parametrize(
    ("line", "breaks", "expected"),
    [
        ("harness run model=smol", " =:", ["smollm2_135m "]),
        ("harness run model=smol", " ", ["model=smollm2_135m "]),
        ("harness run tasks=[humaneval:20,math_", " =:", ["20,math_mini"]),
        ("harness run 'tasks=[humaneval:20,math_", " =:", ["tasks=[humaneval:20,math_mini"]),
        ("harness run tasks='[math_", " =:", ["[math_mini"]),
    ],
)
def test_only_what_readline_replaces_is_given(
    line: str, breaks: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(line, breaks, capsys) == expected


def test_each_shell_has_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    for shell, script in SCRIPTS.items():
        assert completion(build_parser().parse_args(["completion", shell])) == 0
        assert capsys.readouterr().out == script


def test_a_key_press_loads_nothing_heavy() -> None:
    program = (
        "import sys\nfrom harness.cli.main import main\n"
        "main(['completion', 'words', '+harness run protocol.max_n'])\n"
        "print({'hydra', 'omegaconf', 'pydantic', 'rich', 'numpy', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["protocol.max_new_tokens=", "set()"]
