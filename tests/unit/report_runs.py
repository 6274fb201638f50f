"""Finished runs with answers made up for a report: three problems, some of them hostile."""

from collections.abc import Callable
from pathlib import Path

from harness.io.jsonl import read_json
from harness.records import Completion, MathReference, Problem, Prompt, Verdict, VerdictStatus
from harness.runner.build_result import build_result
from harness.store.manifest import RunManifest
from harness.store.run_files import Run

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runs" / "smollm2_demo"
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)><!--\u2028"
HOSTILE_NAME = "m<img src=x onerror=alert(2)>|`m`"
SUBJECTS = ("Algebra", "Geometry", "Number Theory")
CYCLE: tuple[VerdictStatus, ...] = ("correct", "incorrect", "correct", "truncated", "no_answer")


def problem_id(number: int) -> str:
    return f"math_mini/mini/{number:03}"


def make_run(  # noqa: PLR0913 - all but the folder by name
    folder: Path,
    *,
    run_id: str = "run_a",
    name: str = "smollm2_135m",
    problems: int = 6,
    samples: int = 2,
    words: int = 40,
    fingerprint: str = "f" * 16,
    shift: int = 0,
    thought: Callable[[int, int], str] | None = None,
) -> Path:
    """Writes a run whose statuses go round in ``CYCLE``, begun at ``shift``; returns its folder.

    Problem 0, its answers and their details carry HOSTILE. Each answer thinks first; the word
    ``needle<problem>x<sample>`` is in its reasoning and nowhere else. ``thought`` gives the rest
    of the reasoning by problem and sample; without it, it is ``words`` times the same word.
    """
    folder.mkdir(parents=True)
    manifest = read_json(GOLDEN / "manifest.json", RunManifest)
    config = manifest.config
    protocol = {"samples_per_problem": samples, "max_new_tokens": 4096, "temperature": 0.6}
    config = config.model_copy(
        update={
            "model": config.model.model_copy(update={"name": name}),
            "protocol": config.protocol.model_copy(update=protocol),
        }
    )
    task = manifest.tasks[1].model_copy(update={"problems": problems, "full_size": 2 * problems})
    manifest = manifest.model_copy(
        update={
            "run_id": run_id,
            "status": "complete",
            "config": config,
            "tasks": (task,),
            "protocol_fingerprints": {"math_mini": fingerprint},
            "protocol_fields": {"math_mini": {"task": "math_mini", "temperature": fingerprint[0]}},
        }
    )
    run = Run(folder)
    asked = [_problem(number) for number in range(problems)]
    with run:
        run.write_manifest(manifest)
        run.write_problems(asked)
        run.write_prompts([_prompt(problem) for problem in asked])
        # Not by the run's own logs, which wait for the disk after each record.
        with (
            (folder / "completions.jsonl").open("w", encoding="utf-8") as texts,
            (folder / "verdicts.jsonl").open("w", encoding="utf-8") as verdicts,
        ):
            for place in range(problems * samples):
                number, sample = divmod(place, samples)
                rest = "again " * words if thought is None else thought(number, sample)
                completion, verdict = _answer(place, samples, rest, shift)
                texts.write(completion.model_dump_json() + "\n")
                verdicts.write(verdict.model_dump_json() + "\n")
        build_result(run, manifest).write(run.folder)
    return folder


def _problem(number: int) -> Problem:
    return Problem(
        problem_id=problem_id(number),
        question=f"What is ${number} + {number}$?" + HOSTILE * (number == 0),
        reference=MathReference(answer=str(2 * number)),
        subject=SUBJECTS[number % 3],
        level=1 + number % 2,
    )


def _prompt(problem: Problem) -> Prompt:
    text = f"<|user|>{problem.question}<|assistant|><think>\n"
    return Prompt(problem_id=problem.problem_id, text=text, token_ids=(1, 2, 3), opened_think=True)


def _answer(place: int, samples: int, rest: str, shift: int) -> tuple[Completion, Verdict]:
    number, sample = divmod(place, samples)
    status = CYCLE[(place + shift) % len(CYCLE)]
    right = 2 * number
    given = {"correct": str(right), "incorrect": str(right + 1)}.get(status)
    hostile = HOSTILE if number == 0 else ""
    thought = f"Let me think, needle{number}x{sample} {rest}" + hostile
    answer = f"\n</think>\n\nSo it is \\boxed{{{given}}}. {hostile}" if given else "\n</think>\n\n"
    cut = status == "truncated"
    tokens = 4096 if cut else 100 + 10 * place
    completion = Completion(
        request_id=f"{problem_id(number)}#{sample}",
        text=thought if cut else thought + answer,
        finish_reason="length" if cut else "stop",
        prompt_tokens=20,
        completion_tokens=tokens,
        reasoning_tokens=tokens if cut else tokens - 30,
        queued_s=0.0,
        started_s=0.1 * place,
        first_token_s=0.1 * place + 0.5,
        finished_s=0.1 * place + 0.5 + tokens / 50,
    )
    verdict = Verdict(
        request_id=completion.request_id,
        status=status,
        extracted=given,
        detail=f"{given} is not {right} {hostile}" if status == "incorrect" else "",
        scorer="math_answer@3",
        wall_s=0.0,
    )
    return completion, verdict
