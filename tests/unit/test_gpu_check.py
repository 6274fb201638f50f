"""The check of a GPU machine: it refuses others, goes on after a failure, and invents nothing."""

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

from tests.facts import mentions
from tests.unit.scripts import load_script

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "gpu-check"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MACHINE = {
    "git_commit": "0123456789",
    "git_dirty": False,
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "transformers": "5.19.0", "vllm": "0.32.0"},
    "gpus": [{"name": "NVIDIA H200", "memory_bytes": 150_754_820_096, "driver": "580.1"}],
}
OVERHEAD: dict[str, Any] = {
    "target": 0.97,
    "engines": {"harness": {"device": "cuda"}},
    "median": {
        "raw": {"tokens_per_s": 10_000.0},
        "harness": {"tokens_per_s": 9_800.0},
        "ratio": 0.98,
    },
}
TESTS = {"passed": 30, "failed": 0, "skipped": 2}
RESUME = {"answers_when_stopped": 3, "answers": 40, "resume_refusal": "harness: needs 3 GB"}
SWEEP = {"jobs": 2, "memory_in_use_bytes": [600, 700, 650], "processes_left": [0, 0]}
MEMORY = {"refusal": "harness: needs 28,672 GB", "retreats": 2, "answers": 656}


@pytest.fixture(scope="module")
def check() -> ModuleType:
    return load_script(SCRIPT)


def a_run(engine: str, joules: float | None) -> dict[str, Any]:
    """The result of a real run, as it would be with a counter."""
    file = ROOT / "results" / "baselines" / f"smollm2_135m_standard_{engine}.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    session = result["manifest"]["sessions"][-1]
    session["energy_joules"] = joules
    session["engine"]["device"] = "cuda"
    session["energy_source"] = "none: no NVML" if joules is None else "NVML, 1 GPU"
    found: dict[str, Any] = result
    return found


def done(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "status": "done", "seconds": 1.0, "reason": None} for name in names]


def a_plan(check: ModuleType, **named: object) -> Any:
    return check.Plan(**{"python": Path(sys.executable), "model": ("model=smollm2_135m",)} | named)


def a_report(
    check: ModuleType, joules: float | None = 5551.5, ratio: float = 0.98
) -> dict[str, Any]:
    given = {
        "machine": MACHINE,
        "tests": TESTS,
        "run transformers": a_run("transformers", joules),
        "run vllm": a_run("vllm", joules),
        **{f"resume {engine}": RESUME for engine in check.ENGINES},
        **{f"sweep {engine}": SWEEP for engine in check.ENGINES},
        **{f"memory {engine}": MEMORY for engine in check.ENGINES},
        "overhead transformers": OVERHEAD,
        "overhead vllm": {**OVERHEAD, "median": {**OVERHEAD["median"], "ratio": ratio}},
    }
    found: dict[str, Any] = check.build_report(
        given, done("machine", "tests"), now=NOW, plan=a_plan(check)
    )
    return found


def test_without_a_gpu_it_refuses_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'no devices were found'\nexit 6\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    for path in (str(tmp_path), "/nonexistent"):
        found = subprocess.run(
            [sys.executable, str(SCRIPT), "--output", str(tmp_path / "out")],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": path},
        )
        assert (found.returncode, found.stdout) == (3, "")
        assert mentions(found.stderr, "gpu-check: ", "nvidia-smi -L")
        assert found.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_report_holds_what_the_stages_measured(check: ModuleType) -> None:
    report = a_report(check)
    vllm = report["engines"]["vllm"]
    run = a_run("vllm", 5551.5)
    tokens = 55_515.0
    assert vllm["output_tokens"] == tokens
    assert vllm["joules_per_output_token"] == 5551.5 / tokens
    assert vllm["energy_source"] == "NVML, 1 GPU"
    (rate,) = [e["value"] for e in run["estimates"] if e["metric"] == "output_tokens_per_s"]
    assert vllm["output_tokens_per_s"] == rate
    assert vllm["peak_memory_bytes"] == 4_263_038_976
    assert (vllm["overhead_ratio"], vllm["overhead_target"]) == (0.98, 0.97)
    assert (vllm["answers_when_stopped"], vllm["answers_in_the_end"]) == (3, 40)
    assert vllm["memory_between_jobs_bytes"] == 700
    assert vllm["processes_left"] == 0
    assert vllm["out_of_memory_retreats"] == 2
    assert report["gpus"][0]["driver"] == "580.1"
    assert report["not_measured"] == {}
    assert check.exit_status(report) == 0
    assert check.file_name(report) == "gpu_nvidia_h200_2026-11-22"
    text = check.markdown(report)
    assert "| overhead_ratio | 0.98 | 0.98 |" in text
    assert "- NVIDIA H200, 150.8 GB, driver 580.1" in text
    assert "not measured" not in text.lower()


def test_a_number_that_was_not_measured_is_null_with_its_reason(check: ModuleType) -> None:
    failed = [
        {"name": "overhead vllm", "status": "failed", "seconds": 3.0, "reason": "exit status 1: x"},
        {"name": "run vllm", "status": "skipped", "seconds": None, "reason": "no vllm"},
    ]
    given = {"machine": MACHINE, "run transformers": a_run("transformers", None)}
    report = check.build_report(given, [*done("tests"), *failed], now=NOW, plan=a_plan(check))
    reasons = report["not_measured"]
    assert report["engines"]["vllm"]["output_tokens_per_s"] is None
    assert reasons["engines.vllm.output_tokens_per_s"] == "run vllm: no vllm"
    assert reasons["engines.vllm.overhead_ratio"] == "overhead vllm: exit status 1: x"
    reached = "overhead transformers was not reached"
    assert reasons["engines.transformers.overhead_ratio"] == reached
    assert reasons["engines.transformers.energy_joules"] == "none: no NVML"
    assert reasons["engines.transformers.joules_per_output_token"] == "none: no NVML"
    assert reasons["tests"] == "tests gave none"
    assert {key for key, value in check.flat(report).items() if value is None} == reasons.keys()
    (line,) = [
        each for each in check.markdown(report).splitlines() if "exit status 1: x: `" in each
    ]
    assert "`vllm.overhead_ratio`" in line


def test_what_failed_decides_the_exit_status(check: ModuleType) -> None:
    fine = a_report(check)
    slow = a_report(check, ratio=0.96)
    assert check.exit_status(slow) == 4
    assert check.exit_status({**slow, "is_emulation": True}) == 0
    assert check.exit_status({**fine, "tests": {**TESTS, "failed": 1}}) == 4
    assert check.exit_status({**fine, "tests": {**TESTS, "passed": 0}}) == 4
    broken = {"name": "run vllm", "status": "failed", "seconds": 1.0, "reason": "x"}
    assert check.exit_status({**fine, "stages": [broken]}) == 1
    skipped = {**broken, "status": "skipped"}
    assert check.exit_status({**fine, "stages": [skipped]}) == 0


def test_a_stage_that_fails_or_hangs_stops_no_other(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes in the place of the real stages; one breaks, one hangs."""
    junit = '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="2"/></testsuites>'
    result = json.dumps(a_run("transformers", 7.0))

    def shell(script: str, *arguments: object) -> list[str]:
        return ["sh", "-c", script, "sh", *map(str, arguments)]

    def run_command(plan: Any, python: Path, engine: str, folder: Path, *_: str) -> list[str]:
        if engine == "vllm":
            return shell("echo first; echo 'out of memory' >&2; exit 1")
        (tmp_path / "result").write_text(result)
        return shell(
            'mkdir -p "$1/runs/a" && cp "$2" "$1/runs/a/result.json"', folder, tmp_path / "result"
        )

    def trial_command(plan: Any, python: Path, engine: str, what: str, folder: Path) -> list[str]:
        found = {"resume": RESUME, "sweep": SWEEP, "memory": MEMORY}[what]
        status = 1 if what == "sweep" else 0  # what was found before it failed is kept
        file = folder.with_suffix(".json")
        return shell('echo "$1" > "$2"; exit "$3"', json.dumps(found), file, status)

    def tests_command(plan: Any, python: Path, scratch: Path) -> list[str]:
        return shell('echo "$1" > "$2"; exit 1', junit, scratch / "tests.xml")

    monkeypatch.setattr(check, "run_command", run_command)
    monkeypatch.setattr(check, "trial_command", trial_command)
    monkeypatch.setattr(check, "tests_command", tests_command)
    monkeypatch.setattr(check, "overhead_command", lambda *_: ["sleep", "600"])
    monkeypatch.setattr(check, "HAS_VLLM", "")
    monkeypatch.setattr(check, "PROVENANCE", f"print({json.dumps(json.dumps(MACHINE))})")
    really = check.stage

    def stage(name: str, command: list[str], scratch: Path, **named: Any) -> dict[str, Any]:
        limit_s = 0.2 if command[0] == "sleep" else 600
        found: dict[str, Any] = really(name, command, scratch, **{**named, "limit_s": limit_s})
        return found

    monkeypatch.setattr(check, "stage", stage)
    kept = []
    given, stages = check.carry_out(
        a_plan(check), tmp_path, lambda given, stages: kept.append((dict(given), list(stages)))
    )
    # what is known is kept after every stage
    assert [len(stages) for _, stages in kept] == list(range(1, 16))
    assert kept[3][0]["run transformers"]["manifest"]
    ended = {each["name"]: each["status"] for each in stages}
    assert list(ended) == [
        each for each in check.stage_names(a_plan(check)) if each not in ("setup", "model")
    ]
    failed = {name for name, status in ended.items() if status == "failed"}
    assert failed == {
        *("sweep transformers", "overhead transformers"),
        *("run vllm", "samples vllm", "sweep vllm", "overhead vllm"),
    }
    reasons = {each["name"]: each["reason"] for each in stages}
    assert mentions(reasons["overhead transformers"], "0.2 s")
    assert reasons["run vllm"] == "exit status 1: out of memory"
    report = check.build_report(given, stages, now=NOW, plan=a_plan(check))
    assert report["tests"] == {"passed": 1, "failed": 2, "skipped": 2}
    assert report["engines"]["transformers"]["energy_joules"] == 7.0
    assert report["engines"]["transformers"]["memory_after_sweep_bytes"] == 650
    assert check.exit_status(report) == 1


def test_whoever_ends_it_ends_what_it_started(tmp_path: Path) -> None:
    """The stages run in groups of their own, which nothing else would end."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200'\n")
    # takes the place of the interpreter that the stages are run with
    (tmp_path / "python").write_text(
        f"#!/bin/sh\necho $$ >{tmp_path}/pid.new\n"
        f"mv {tmp_path}/pid.new {tmp_path}/pid\nexec sleep 600\n"
    )
    for name in ("nvidia-smi", "python"):
        (tmp_path / name).chmod(0o755)
    command = [sys.executable, str(SCRIPT), "--python", str(tmp_path / "python")]
    path = f"{tmp_path}:{os.environ['PATH']}"
    with subprocess.Popen(
        [*command, "--output", str(tmp_path / "out")],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
    ) as started:
        while not (tmp_path / "pid").is_file():
            assert started.poll() is None
            time.sleep(0.02)
        stage = psutil.Process(int((tmp_path / "pid").read_text()))
        started.terminate()
        assert started.wait() == 143
    assert not stage.is_running()
    assert list((tmp_path / "out").iterdir()) == []


def test_an_interpreter_is_meant_as_it_is_named_where_the_check_was_called(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert check.interpreter(Path("bin/python")) == tmp_path / "bin" / "python"
    assert check.interpreter(Path("sh")).is_file()
    assert check.interpreter(None) is None


def test_the_commands_are_those_of_this_harness(check: ModuleType, tmp_path: Path) -> None:
    """What the stages ask for is understood: the plan of a run, the options of the benchmark."""
    python = Path(sys.executable)
    for engine in check.ENGINES:
        command = check.run_command(a_plan(check), python, engine, tmp_path)
        planned = subprocess.run(
            [*command, "--cfg", "job"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert planned.returncode == 0, planned.stderr
        assert f"kind: {engine}" in planned.stdout
        overhead = check.overhead_command(a_plan(check), python, engine, tmp_path / "x.json")
        helped = subprocess.run(
            [*overhead, "--help"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert helped.returncode == 0, helped.stderr
        options = {word for word in overhead[2:] if word.startswith("--")}
        assert all(option in helped.stdout for option in options)


def test_a_quick_check_asks_for_what_this_harness_knows(check: ModuleType, tmp_path: Path) -> None:
    """Every run that a stage or trial starts is composed, with what the trials add."""
    model = ("model=local", f"model.path={tmp_path}")
    plan = a_plan(check, model=model, is_quick=True, device="cpu")
    python = Path(sys.executable)
    asked = [check.run_command(plan, python, "transformers", tmp_path, *check.SAMPLES)]
    for what in check.TRIALS:
        trial = check.trial_command(plan, python, "transformers", what, tmp_path)
        assert Path(trial[1]).is_file()
        assert trial[2:5] == [what, str(tmp_path), "cpu"]
        asked.append(json.loads(trial[5]))
        asked.append(json.loads(check.trial_command(plan, python, "vllm", what, tmp_path)[5]))
    for each in asked:
        # Hydra shows the configuration of one run at a time
        one = [*each[:4], *(word.partition(",1")[0] for word in each[4:] if word != "-m")]
        planned = subprocess.run(
            [*one, "--cfg", "job"], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert planned.returncode == 0, planned.stderr
        assert str(tmp_path) in planned.stdout
    tests = check.tests_command(plan, python, tmp_path)
    assert all(Path(each).exists() for each in tests[tests.index(tests[-1]) :])


def test_the_page_shows_calls_that_it_understands(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    calls = re.findall(r"^scripts/gpu-check.*", page, re.M)
    assert calls
    for each in calls:
        monkeypatch.setattr(sys, "argv", each.split())
        check.arguments()  # ends the process where it understands something not


def test_the_carried_packages_of_the_page_are_those_of_the_lock() -> None:
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^pip install --target carried .*?[^\\]$", page, re.M | re.S)
    names = {word for word in command.replace("\\\n", " ").split()[4:] if word[0] != "-"}
    lock = (ROOT / "requirements" / "gpu.txt").read_text(encoding="utf-8")
    assert names - {"requirements/gpu.txt"} <= set(re.findall(r"^([\w.-]+)==", lock, re.M))


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_quick_check_of_one_engine_takes_ten_minutes_at_most(
    check: ModuleType, engine: str
) -> None:
    plan = a_plan(check, is_quick=True, makes_model=True, engines=(engine,))
    names = check.stage_names(plan)
    assert set(names) <= set(check.QUICK_LIMITS_S)
    assert sum(map(plan.limit_s, names)) <= 600


def test_a_stage_finds_what_pythonpath_gave_before(
    check: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheels that were carried to a machine without network."""
    (tmp_path / "carried.py").write_text("print('here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    program = "import carried, harness"
    ended = check.stage("x", [sys.executable, "-c", program], tmp_path)
    assert ended["status"] == "done", ended
    assert (tmp_path / "x.out").read_text() == "here\n"


@pytest.mark.parametrize("missing", ["energy_joules", "peak_memory_bytes", "rented_usd", "device"])
def test_a_gpu_that_does_not_tell_all_is_no_success(check: ModuleType, missing: str) -> None:
    report = a_report(check)
    report["engines"]["transformers"][missing] = "cpu: 1 x CPU" if missing == "device" else None
    assert check.exit_status(report) == 4
    assert check.exit_status({**report, "is_emulation": True}) == 0


def test_an_emulation_says_so(check: ModuleType) -> None:
    plan = a_plan(check, device="cpu", is_quick=True)
    report = check.build_report({"machine": {**MACHINE, "gpus": []}}, [], now=NOW, plan=plan)
    assert check.file_name(report) == "emulation_quick_2026-11-22"
    assert "Emulated" in check.markdown(report)


def test_the_random_model_answers_noise_and_ends_nowhere(tmp_path: Path) -> None:
    from harness.models import ResolvedModel
    from harness.models.chat_tokenizer import Codec
    from harness.records import MathReference, Problem

    made = [sys.executable, str(ROOT / "scripts" / "random-model"), str(tmp_path / "m")]
    subprocess.run([*made, "--shape", "tiny"], check=True)
    model = ResolvedModel(name="m", path=str(tmp_path / "m"), revision=None, sha256=None)
    problem = Problem(problem_id="t/1", question="2 + 3?", reference=MathReference(answer="5"))
    prompt = Codec.load(model).prompt(problem, "{question}", chat=True, force_think=True)
    assert prompt.opened_think
    assert len(prompt.token_ids) == len("2 + 3?") + 5
