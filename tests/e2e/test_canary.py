"""Real faults, put into copies of real models, are found before a run begins."""

import json
import re
import shutil
from pathlib import Path

import pytest

from harness.models import resolve
from tests.conf.test_compose import compose
from tests.e2e.conftest import GOLDEN, Harness, last_line, manifest, records
from tests.facts import mentions

LOSES_THE_QUESTION = "{{ bos_token }}{% for message in messages %}{{ message.role }}{% endfor %}"


def copy_of(model: Path, folder: Path) -> Path:
    """A model that can be damaged: its weights are only linked."""
    folder.mkdir()
    for file in model.iterdir():
        if file.suffix == ".safetensors":
            (folder / file.name).symlink_to(file.resolve())
        else:
            shutil.copy(file, folder)
    return folder


def run_of(model: Path, *more: str) -> list[str]:
    """One problem of each kind, greedy, after the known ones."""
    return [
        *("run", "model=local", f"model.path={model}", "engine=transformers", "protocol=greedy"),
        *("protocol.max_new_tokens=128", "tasks=[humaneval:1,math_mini:1]", "canary=true"),
        *("limits.max_truncated_fraction=1", *more),
    ]


def only_run(results: Path) -> Path:
    """The folder of the only run."""
    (folder,) = (results / "runs").iterdir()
    return folder


def test_a_sandbox_that_fails_right_answers_stops_a_run(harness: Harness) -> None:
    done = harness(
        "run",
        "experiment=demo",
        "engine=replay",
        f"engine.run={GOLDEN}",
        "canary=true",
        "sandbox.time_limit_s=1e-9",  # in a ten-thousandth of a second some get through
    )
    assert done.returncode == 4
    words = r"harness: canary: python_tests@2 .*right .*canary/\w+ (inc|scorer)"
    assert re.match(words, done.stderr.splitlines()[-1])


def test_a_template_that_loses_the_question_stops_a_run(
    harness: Harness, tiny_model: Path, tmp_path: Path
) -> None:
    model = copy_of(tiny_model, tmp_path / "model")
    (model / "chat_template.jinja").write_text(LOSES_THE_QUESTION)
    done = harness(*run_of(model))
    assert done.returncode == 4
    assert mentions(done.stderr, "harness: canary: ", "chat template", "canary/")
    assert "resume=" not in done.stderr
    found = manifest(only_run(tmp_path))
    assert found["status"] == "failed"
    assert found["canary"]["faults"] == [found["error"]]  # so resume=auto leaves it


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return Path(resolve(compose("experiment=demo").model, with_digest=False).path)


@pytest.mark.model
def test_a_stop_token_that_stops_nothing_stops_a_run(
    harness: Harness, smollm2: Path, tmp_path: Path
) -> None:
    model = copy_of(smollm2, tmp_path / "model")
    for name, key, other in (
        ("generation_config", "eos_token_id", None),
        ("config", "eos_token_id", None),
        ("tokenizer_config", "eos_token", "<|endoftext|>"),
    ):
        file = model / f"{name}.json"
        settings = json.loads(file.read_text())
        settings[key] = other
        file.write_text(json.dumps({k: v for k, v in settings.items() if v is not None}))
    done = harness(*run_of(model))
    assert done.returncode == 4
    line = done.stderr.splitlines()[-1]
    assert line.startswith("harness: canary: ")
    assert mentions(line, "<|im_end|>", "chat template: generation_config.json")
    folder = only_run(tmp_path)
    found = manifest(folder)
    assert (found["status"], found["sessions"]) == ("failed", [])
    assert found["canary"]["faults"][0] in line
    assert len(records(folder, "canary")) == 3
    assert not (folder / "completions.jsonl").exists()


@pytest.mark.model
def test_a_weak_model_that_works_runs_and_pays_for_no_canary(
    harness: Harness, smollm2: Path, tmp_path: Path
) -> None:
    done = harness(*run_of(smollm2))
    assert done.returncode == 0, done.stderr
    folder = Path(last_line(done)["path"])
    found = manifest(folder)
    assert found["canary"]["problems"] == 3
    assert found["canary"]["faults"] == []
    # the session, and with it every rate and cost, begins when the known problems are done
    assert found["sessions"][0]["clock_start_s"] > found["canary"]["wall_s"]
    assert {line["request_id"].partition("/")[0] for line in records(folder, "completions")} == {
        "humaneval",
        "math_mini",
    }
