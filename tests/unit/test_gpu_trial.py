"""The trials of gpu-check, with small programs in the place of the harness's runs."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.facts import known
from tests.unit.scripts import load_script

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "gpu-trial"

STOPPABLE = """
import json, signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
file = folder / "runs" / "a" / "completions.jsonl"
file.parent.mkdir(parents=True, exist_ok=True)
def answer(*numbers):
    with file.open("a") as stream:
        for number in numbers:
            stream.write(json.dumps({"request_id": f"t/{number}#0", "error": None}) + "\\n")
if "resume=auto" in sys.argv:
    answer(*json.loads(sys.argv[2]))
    sys.exit(0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
answer(0)
time.sleep(600)
"""

A_SWEEP = """
import subprocess, sys
sleeper = [sys.executable, "-c", "import sys; sys.stdin.read()"]
started = [subprocess.Popen([*sleeper, *more], stdin=sys.stdin) for more in (["--composed"], [])]
print(started[0].pid, flush=True)
for each in started:
    each.wait()
"""


@pytest.fixture(scope="module")
def trials() -> ModuleType:
    return load_script(SCRIPT)


def python(program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, *arguments]


def test_a_run_is_stopped_after_its_first_answer_and_goes_on(
    trials: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    command = python(STOPPABLE, str(folder), "[1, 2]")
    trial = trials.Trial(command, folder, is_cuda=False)
    trials.resume(trial)
    assert trial.found == {"answers_when_stopped": 1, "answers": 3}


@pytest.mark.parametrize("then", ["[]", "[0, 1]"])
def test_a_run_that_does_not_go_on_or_answers_twice_has_failed(
    trials: ModuleType, tmp_path: Path, then: str
) -> None:
    folder = tmp_path / "results"
    trial = trials.Trial(python(STOPPABLE, str(folder), then), folder, is_cuda=False)
    with pytest.raises(SystemExit, match="1 answers when stopped"):
        trials.resume(trial)


def test_a_run_that_ends_otherwise_when_stopped_has_failed(
    trials: ModuleType, tmp_path: Path
) -> None:
    trial = trials.Trial(python("import sys; sys.exit(2)"), tmp_path, is_cuda=False)
    with pytest.raises(SystemExit, match="ended with 2"):
        trials.resume(trial)


REFUSED = "import sys; print('harness: m needs about 512 GB', file=sys.stderr); sys.exit(3)"


def test_a_refusal_is_one_line(trials: ModuleType) -> None:
    assert trials.refusal(python(REFUSED)) == "harness: m needs about 512 GB"


@pytest.mark.parametrize(
    "program",
    [
        REFUSED.replace("exit(3)", "exit(1)"),
        REFUSED.replace("512 GB", "luck"),
        f"import sys; print('Traceback', file=sys.stderr); {REFUSED}",
        "import sys; sys.exit(3)",
    ],
)
def test_any_other_end_is_no_refusal(trials: ModuleType, program: str) -> None:
    with pytest.raises(SystemExit, match="wanted a refusal"):
        trials.refusal(python(program))


def test_what_a_job_left_behind_is_told_from_the_next_job(trials: ModuleType) -> None:
    with subprocess.Popen(
        python(A_SWEEP), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sweep:
        job = int(known(sweep.stdout).readline())
        assert trials.jobs_of(sweep.pid) == {job}
        assert trials.strangers(sweep.pid, job) == 1
        known(sweep.stdin).close()
    assert trials.jobs_of(sweep.pid) == set()


def test_a_trial_keeps_what_it_found_however_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    asked = json.dumps(python(STOPPABLE, str(folder), "[]"))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "resume", str(folder), "cpu", asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    found = json.loads((tmp_path / "results.json").read_text())
    assert found == {"answers_when_stopped": 1, "answers": 1}
    assert done.stderr.splitlines()[-1].startswith("gpu-trial: ")


@pytest.mark.parametrize(
    ("model", "parameters"),
    [(["model=smollm2_135m"], 134_515_008), (["model=r1_distill_qwen_7b"], 7_615_616_512)],
)
def test_weights_are_those_of_the_model_asked_for(
    trials: ModuleType, model: list[str], parameters: int
) -> None:
    assert trials.weight_bytes(["x", *model]) == 2 * parameters
