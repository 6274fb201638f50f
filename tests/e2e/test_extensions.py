"""An engine, a scorer, a reader and a task of another package, none of which the harness knows."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DISTRIBUTION = {
    "toy_package-1.5.dist-info/METADATA": """\
Metadata-Version: 2.1
Name: toy-package
Version: 1.5
""",
    "toy_package-1.5.dist-info/entry_points.txt": """\
[gegenprobe.engines]
toy = toy_package.engine:ToyConfig
[gegenprobe.scorers]
toy_match = toy_package.scorer:ToyMatch
[gegenprobe.readers]
toy_log = toy_package.log:ToyLog
[gegenprobe.tasks]
toy = toy_package
""",
    "toy_package/__init__.py": "",
    "toy_package/toy_sums/task.yaml": """\
name: toy_sums
version: 1
description: sums with a unit
source: written for this test
licence: MIT
prompt: "{question}"
scorer: toy_match
fields: {problem_id: id, question: asked, answer: sum, more: {unit: unit}}
sources: [{kind: embedded, file: problems.jsonl}]
""",
    "toy_package/toy_sums/problems.jsonl": "".join(
        json.dumps({"id": str(n), "asked": f"{n} + {n} = ?", "sum": str(2 * n), "unit": "apples"})
        + "\n"
        for n in range(6)
    ),
    "toy_package/scorer.py": """\
from harness.records import Grade, OtherReference, Problem
from harness.scorers.base import KnownProblem, ScorerDefinition


class Match:
    name = "toy_match@7"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def grade(self, problem, answer):
        wanted = problem.reference.values
        is_it = answer.split() == [wanted["answer"], wanted["unit"]]
        return Grade(status="correct" if is_it else "incorrect", extracted=answer.strip())

    def context(self):
        return {"spaces": "ignored"}


def known():
    reference = OtherReference(values={"answer": "4", "unit": "apples"})
    problem = Problem(problem_id="canary/toy", question="2 + 2 = ?", reference=reference)
    return KnownProblem(problem, "4 apples", "5 apples")


class ToyMatch(ScorerDefinition):
    name = "toy_match"
    fields = ("answer", "unit")
    known_problems = (known(),)

    def build(self, settings):
        return Match()

    def reference(self, values):
        return OtherReference(values={name: values[name] for name in self.fields})
""",
    "toy_package/log.py": """\
from harness.interop.readers import ForeignAnswer, ForeignEntry, ForeignFile, Reader

BEGIN = "toy log 3, temperature 0"


def entries(lines):
    for number, line in enumerate(lines, start=2):
        question, said, mark = line.split("|")
        status = {"+": "correct", "-": "incorrect"}[mark]
        yield ForeignEntry(
            place=f"line {number}",
            task_names=("toy_sums",),
            texts=(question,),
            answers=(ForeignAnswer(status=status, output=said),),
            judged=1,
            solved=int(mark == "+"),
        )


class ToyLog(Reader):
    name = "toy-harness"

    def recognises(self, file):
        return file.is_file() and file.read_bytes().startswith(BEGIN.encode())

    def read(self, file):
        _, *lines = file.read_text().splitlines()
        return ForeignFile(
            entries=entries(lines), scorer="marks", version="3", fields={"temperature": 0.0}
        )
""",
    "toy_package/engine.py": """\
import os
from typing import ClassVar, Literal

from harness.engines.config import BaseEngineConfig
from harness.errors import GenerationError
from harness.records import Completion, EngineInfo


class ToyConfig(BaseEngineConfig):
    kind: Literal["toy"]
    at_once: int = 4
    unit: str = "apples"

    is_local: ClassVar[bool] = False

    def build(self, given):
        return Toy(self, given.model, given.clock)

    @property
    def renders_prompts(self):
        return True

    @property
    def batch_size(self):
        return self.at_once

    def with_batch_size(self, size):
        return self.model_copy(update={"at_once": size})


class Toy:
    def __init__(self, config, model, clock):
        self.config, self.model, self.clock = config, model, clock

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def info(self):
        return EngineInfo(
            name="toy",
            version="1.5",
            device="remote",
            device_name="unknown",
            device_count=1,
            dtype="unknown",
            model_path=self.model.name,
            weights_revision=None,
            weights_sha256=None,
            load_s=None,
            peak_memory_bytes=None,
        )

    def restart_counters(self):
        pass

    def generate(self, requests):
        for number, request in enumerate(requests):
            if number == 2 and request.problem_id.startswith("toy_sums") and "BREAK" in os.environ:
                raise GenerationError("the toy broke")
            first, _, second, *_ = request.user_text.split()
            now = self.clock()
            yield Completion(
                request_id=request.request_id,
                text=f"{int(first) + int(second)} {self.config.unit}",
                finish_reason="stop",
                prompt_tokens=5,
                completion_tokens=2,
                reasoning_tokens=0,
                started_s=now,
                finished_s=now,
            )
""",
}
RUN = ("model=remote", "model.name=toy-model", "engine.kind=toy", "protocol=greedy")


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command with the package on its path, as if it were installed."""
    place = tmp_path / "site"
    for name, text in DISTRIBUTION.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(place), **environment},
        )

    return run


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def statuses(run: Path) -> list[str]:
    return [verdict["status"] for verdict in lines(run / "verdicts.jsonl")]


def test_an_engine_a_scorer_and_a_task_of_another_package_run_resume_score_and_rerun(
    call: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    results = tmp_path / "results"
    begin = ("run", *RUN, "tasks=[toy_sums]", f"results_dir={results}", "canary=true")
    broken = call(*begin, BREAK="1")
    assert broken.returncode != 0, broken.stderr
    (run,) = (results / "runs").iterdir()
    assert [each["completion"]["text"] for each in lines(run / "canary.jsonl")] == ["4 apples"]
    assert 0 < len(lines(run / "completions.jsonl")) < 6

    resumed = call("run", f"resume={run.name}", f"results_dir={results}")
    assert resumed.returncode == 0, resumed.stderr
    assert statuses(run) == ["correct"] * 6

    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["config"]["engine"] == {"kind": "toy", "at_once": 4, "unit": "apples"}
    assert manifest["extensions"] == {
        "engine toy": "toy-package 1.5",
        "scorer toy_match": "toy-package 1.5",
        "task toy_sums": "toy-package 1.5",
    }
    context = {"spaces": "ignored", "package": "toy-package 1.5"}
    assert manifest["scorer_context"] == {"toy_match@7": context}
    assert manifest["protocol_fields"]["toy_sums"]["scorer.package"] == "toy-package 1.5"

    scored = call("score", run.name, "--results-dir", str(results))
    assert scored.returncode == 0, scored.stderr
    assert statuses(run) == ["correct"] * 6

    again = call("rerun", run.name, "--n", "3", "--results-dir", str(results), "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert (report["batch_size_before"], report["batch_size_after"]) == (4, 1)
    assert len(report["pairs"]) == 3


def test_a_wrong_setting_of_another_packages_engine_is_named_by_its_key(
    call: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    dry = ("run", *RUN, "tasks=[toy_sums]", f"results_dir={tmp_path}", "--dry-run")
    wrong = call(*dry, "+engine.at_once=many")
    assert wrong.returncode == 2
    assert "engine.at_once=many: " in wrong.stderr
    assert call(*dry, "+engine.unit=pears").returncode == 0


def test_a_log_that_another_packages_reader_knows_is_compared_and_stands_beside_the_lists(
    call: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    results = f"--results-dir={tmp_path / 'results'}"
    made = call("run", *RUN, "tasks=[toy_sums]", f"results_dir={tmp_path / 'results'}")
    assert made.returncode == 0, made.stderr
    (run,) = (tmp_path / "results" / "runs").iterdir()
    log = tmp_path / "toy.log"
    marks = "".join(f"{n} + {n} = ?|{2 * n} apples|{'-+'[n % 2]}\n" for n in range(6))
    log.write_text(f"toy log 3, temperature 0\n{marks}")

    compared = call("compare", run.name, str(log), results, "--json")
    (candidate,) = json.loads(compared.stdout)["candidates"]
    (task,) = candidate["tasks"]
    assert (task["task"], task["problems"]) == ("toy_sums", 6)
    assert (task["test"]["problems_better"], task["test"]["problems_worse"]) == (0, 3)
    assert "temperature" not in candidate["protocol_unknown"]["toy_sums"]

    listed = call("leaderboard", results, f"--log={log}", "--json")
    (row,) = json.loads(listed.stdout)["foreign"]
    assert (row["harness"], row["version"], row["scorer"]) == (
        "toy-harness",
        "3",
        "toy-harness marks",
    )
    assert row["accuracy"]["value"] == 0.5

    log.write_text(log.read_text() + "1 + 1 = ?|2 apples|*\n")
    damaged = call("compare", run.name, str(log), results)
    assert damaged.returncode == 2
    assert damaged.stderr.count("\n") == 1
    assert "toy.log: not as toy-harness writes it" in damaged.stderr


def test_a_reader_that_is_none_is_named_with_its_package(
    call: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "site" / "toy_package" / "log.py").write_text("class ToyLog:\n    pass\n")
    log = tmp_path / "some.log"
    log.write_text("toy log 3\n")
    found = call("grade", "math", str(log))
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1
    assert "toy_log of toy-package 1.5" in found.stderr
