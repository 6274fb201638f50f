"""Makes ``runs/r1_style``: a recording as a distill of R1 leaves one, with every kind of ending.

    python -m tests.golden.make_r1_style

Problems, answers and times are made up here, with four samples of each problem. Prompts, tokens and
records are made by the harness itself, with the tokenizer of ``made_tokenizers``. The recording
stays as it is when the code changes: run this again only to record more.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from harness.cli.main import main as harness
from harness.config.settings import RunConfig
from harness.io.token_gaps import bin_of
from harness.machine.provenance import GpuInfo, Provenance
from harness.models.chat_tokenizer import Codec, Times
from harness.models.description import ResolvedModel
from harness.records import (
    CodeReference,
    Completion,
    EngineInfo,
    GenerationRequest,
    MathReference,
    Problem,
    RequestId,
)
from harness.runner.pipeline import build_requests
from harness.store.manifest import RunManifest, Session, TaskInfo
from harness.store.run_files import Run
from tests.conf.test_compose import compose
from tests.made_tokenizers import write_r1_tokenizer

FOLDER = Path(__file__).resolve().parent / "runs" / "r1_style"
BEGAN = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
NEW_TOKENS = 512
SLOTS = 4
LOAD_S, PREFILL_S, STEP_S = 30.0, 0.05, 0.02
OVERRIDES = (
    "model=r1_distill_qwen_1_5b",
    "engine=vllm",
    "protocol=deepseek_r1",
    f"protocol.max_new_tokens={NEW_TOKENS}",
    "protocol.samples_per_problem=4",
    "tasks=[aime24:5,humaneval:3]",
    "pricing=h200",
    "limits.max_truncated_fraction=0.5",
    "limits.max_error_fraction=0.05",
    "sandbox.min_level=none",
)
INSTRUCTIONS = {
    "aime24": "{question}\n\nReason step by step; put the answer within \\boxed{}.",
    "humaneval": "Complete this Python function.\n\n```python\n{question}```",
}

Ending = Literal["right", "wrong", "none", "endless", "cut thought", "cut answer", "error"]


class Asked(NamedTuple):
    """A problem, an answer to it that is right and one that is wrong, and how its samples end."""

    problem: Problem
    right: str
    wrong: str
    endings: tuple[Ending, Ending, Ending, Ending]


def maths(number: int, question: str, answer: str, wrong: str, *endings: Ending) -> Asked:
    """A problem whose answer is a whole number from 0 to 999, as in the AIME."""
    problem = Problem(
        problem_id=f"aime24/made-up/{number}",
        question=question,
        reference=MathReference(answer=answer),
    )
    boxed = "The count is done.\n\n\\[\n\\boxed{{{}}}\n\\]"
    right = boxed.format(int(answer))
    return Asked(problem, right, boxed.format(wrong), endings)  # type: ignore[arg-type]


def code(number: int, prompt: str, body: str, wrong: str, test: str, *endings: Ending) -> Asked:
    """A function to complete, in HumanEval's form."""
    name = prompt.partition("def ")[2].partition("(")[0]
    problem = Problem(
        problem_id=f"humaneval/made-up/{number}",
        question=prompt,
        reference=CodeReference(
            prompt=prompt, entry_point=name, test=f"def check(candidate):\n{test}"
        ),
    )
    block = "Here it is:\n\n```python\n{}{}```\n"
    right = block.format(prompt, body)
    return Asked(problem, right, block.format(prompt, wrong), endings)  # type: ignore[arg-type]


ASKED = (
    maths(
        1,
        "How many positive integers up to $500$ are divisible by $3$ or by $7$, but not by both?",
        "191", "214", "right", "right", "right", "right",
    ),
    maths(
        2,
        "What is the sum of the decimal digits of $2^{20}$?",
        "031", "13", "right", "wrong", "right", "cut thought",
    ),
    maths(
        3,
        "In how many ways can $12$ be written as an ordered sum of three non-negative integers?",
        "091", "55", "wrong", "wrong", "cut thought", "endless",
    ),
    maths(
        4,
        "Find the remainder when $7^{100} + 5^{100}$ is divided by $100$.",
        "026", "76", "right", "none", "error", "right",
    ),
    maths(
        5,
        "Find the remainder when $3^{1000}$ is divided by $1000$.",
        "001", "81", "cut thought", "right", "wrong", "right",
    ),
    code(
        1,
        'def is_triangular(n: int) -> bool:\n    """Whether n is 1 + 2 + ... + k, k >= 1."""\n',
        "    k = 1\n    while n > 0:\n        n -= k\n        k += 1\n"
        "    return n == 0 and k > 1\n",
        "    return n % 3 == 0\n",
        "    assert candidate(1) and candidate(6) and candidate(55)\n"
        "    assert not candidate(0) and not candidate(7)\n",
        "right", "right", "wrong", "right",
    ),
    code(
        2,
        'def longest_run(text: str) -> int:\n    """The longest run of one character."""\n',
        "    best = run = 0\n    last = None\n    for each in text:\n"
        "        run = run + 1 if each == last else 1\n        last = each\n"
        "        best = max(best, run)\n    return best\n",
        "    return len(set(text))\n",
        "    assert candidate('aabbbc') == 3\n    assert candidate('abc') == 1\n",
        "wrong", "cut answer", "right", "none",
    ),
    code(
        3,
        'def second_smallest(numbers: list[int]) -> int:\n    """The second smallest value."""\n',
        "    return sorted(set(numbers))[1]\n",
        "    return sorted(numbers)[2]\n",
        "    assert candidate([3, 1, 1, 2]) == 2\n    assert candidate([5, 4]) == 5\n",
        "cut thought", "right", "wrong", "right",
    ),
)  # fmt: skip
FAILED_FIRST = "aime24/made-up/5#1"
"""Was asked again, and answered then."""

STATUSES = {
    "right": {"correct"},
    "wrong": {"incorrect"},
    "none": {"no_answer", "incorrect"},  # a text without code is run as code
    "endless": {"no_answer"},
    "cut thought": {"truncated"},
    "cut answer": {"truncated"},
    "error": {"generation_error"},
}
"""What each ending must be judged as."""

THOUGHTS = (
    "Okay, let me read the problem again.",
    "Wait, that does not look right, so I go back one step.",
    "Let me try small values first and look for a pattern.",
    "Hmm, the case of zero needs some care.",
    "So far this gives \\boxed{7}, but I have not checked it.",
    "Alternatively, I could count what is left out.",
    "That agrees with what I had before.",
)


def answer(asked: Asked, sample: int) -> str:
    """What the model writes after the prompt, which has opened the thought."""
    chance = random.Random(f"{asked.problem.problem_id}#{sample}")
    ending = asked.endings[sample]
    lines = 100 if ending == "cut thought" else chance.randint(3, 8)
    thought = "\n\n".join(chance.choice(THOUGHTS) for _ in range(lines))
    after = {
        "right": asked.right,
        "wrong": asked.wrong,
        "none": "I am not sure.",
        "cut answer": asked.right.rpartition("return")[0] + "# and on\n" * 200,
    }
    return f"{thought}\n</think>\n\n{after[ending]}" if ending in after else thought


def completions(codec: Codec, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
    """The answers as a server with ``SLOTS`` places would give them, each at a speed of its own."""
    asked = {each.problem.problem_id: each for each in ASKED}
    free_s = [LOAD_S] * SLOTS
    for request in requests:
        slot = free_s.index(min(free_s))
        problem = asked[request.problem_id]
        sample = request.request_id.sample
        started_s = free_s[slot]
        if request.request_id == FAILED_FIRST or problem.endings[sample] == "error":
            times = Times(LOAD_S, started_s, None, started_s + 1)
            yield codec.failed(request, "RuntimeError: CUDA error: out of memory", times)
            free_s[slot] = started_s = started_s + 1
        if problem.endings[sample] == "error":
            continue
        ids = tokens(codec, answer(problem, sample), ended=problem.endings[sample])
        step_s = STEP_S * (1 + slot / 10)
        first_s = started_s + PREFILL_S
        free_s[slot] = first_s + step_s * (len(ids) - 1)
        found = codec.completion(request, ids, Times(LOAD_S, started_s, first_s, free_s[slot]))
        cached = len(request.prompt_token_ids) // 16 * 16 if sample else 0
        gaps = {bin_of(step_s): len(ids) - 1}
        yield found.model_copy(update={"cached_prompt_tokens": cached, "token_gaps": gaps})


def tokens(codec: Codec, text: str, *, ended: Ending) -> list[int]:
    """An answer's ids, with the end-of-sequence token unless it was cut off."""
    # A prompt of nothing but the answer; the BOS token before it is no part of that.
    bare = Problem(problem_id="t/0", question=text, reference=MathReference(answer=""))
    _, *ids = codec.prompt(bare, "{question}", chat=False, force_think=False).token_ids
    if ended in {"cut thought", "cut answer"}:
        assert len(ids) > NEW_TOKENS
        return ids[:NEW_TOKENS]
    assert len(ids) < NEW_TOKENS
    return [*ids, *codec.stop_token_ids]


def manifest_of(config: RunConfig, model: ResolvedModel, end_s: float) -> RunManifest:
    """What the run says of itself: a machine that does not exist, at a time that is fixed."""
    provenance = Provenance(
        harness_version="0.0.0",
        git_commit=None,
        git_dirty=None,
        python="3.11.7",
        packages={"vllm": "0.0.0"},
        platform="made up",
        host="golden",
        cpu="made up",
        cpu_count=8,
        memory_bytes=64 << 30,
        gpus=(GpuInfo(name="NVIDIA H200", memory_bytes=141 << 30, driver="0"),),
    )
    engine = EngineInfo(
        name="vllm",
        version="0.0.0",
        device="cuda",
        device_name="NVIDIA H200",
        device_count=1,
        dtype="bfloat16",
        model_path=model.path,
        weights_revision=model.revision,
        weights_sha256=model.sha256,
        load_s=LOAD_S,
        max_concurrency=SLOTS,
        peak_memory_bytes=90 << 30,
        peak_memory_source="made up",
    )
    session = Session(
        started_at=BEGAN,
        opened_s=0.0,
        clock_start_s=LOAD_S,
        clock_end_s=end_s,
        is_end_known=True,
        engine=engine,
        provenance=provenance,
        energy_joules=700.0 * (end_s - LOAD_S),
        energy_source="made up",
    )
    tasks = tuple(task_info(selection) for selection in config.tasks)
    return RunManifest(
        schema_version=1,
        run_id=FOLDER.name,
        status="complete",
        config=config,
        model=model,
        template_sha256="0" * 64,
        tasks=tasks,
        protocol_fingerprints={task.name: "0" * 16 for task in tasks},
        protocol_fields={task.name: {"task": task.name} for task in tasks},
        scorer_context={},
        sessions=(session,),
        provenance=provenance,
        started_at=BEGAN,
        finished_at=BEGAN + timedelta(seconds=end_s),
        error=None,
    )


def task_info(selection: str) -> TaskInfo:
    """A small part of a benchmark of that name."""
    name, _, count = selection.partition(":")
    return TaskInfo(
        name=name,
        selection=selection,
        version=1,
        scorer="math_answer@1" if name == "aime24" else "python_tests@1",
        problems=int(count),
        full_size=30 if name == "aime24" else 164,
        definition_sha256="0" * 64,
        problems_sha256="0" * 64,
        subset_sha256="0" * 64,
        origin="made up",
    )


def make(folder: Path) -> None:
    """Writes the recording, without verdicts."""
    config = compose(*OVERRIDES)
    with tempfile.TemporaryDirectory() as made:
        source = ResolvedModel(
            name=config.model.name, path=made, revision="made up", sha256="0" * 64
        )
        write_r1_tokenizer(Path(made))
        codec = Codec.load(source)
    model = source.model_copy(update={"path": "/models/golden", "reasoning": codec.reasoning})
    prompts = [
        codec.prompt(
            each.problem,
            INSTRUCTIONS[each.problem.problem_id.partition("/")[0]],
            chat=config.protocol.chat,
            force_think=config.protocol.force_think,
        )
        for each in ASKED
    ]
    protocol = config.protocol
    requests = build_requests(prompts, protocol.sampling, protocol.samples_per_problem, config.seed)
    answered = list(completions(codec, requests))
    folder.mkdir(parents=True)
    run = Run(folder)
    end_s = max(each.finished_s or 0.0 for each in answered)
    run.write_manifest(manifest_of(config, model, end_s))
    run.write_problems([each.problem for each in ASKED])
    run.write_prompts(prompts)
    for each in answered:
        run.completions.append(each)
    run.completions.close()


def with_verdicts(folder: Path) -> None:
    """Has a recording scored, by the command that does it.

    Verdicts keep no time: it would be another one each time that this is run.
    """
    with tempfile.TemporaryDirectory() as place:
        scored = Run(Path(shutil.copytree(folder, Path(place) / folder.name)))
        harness(["score", str(scored.folder)])
        verdicts = scored.read_verdicts()
    run = Run(folder)
    for each in ASKED:
        for sample, ending in enumerate(each.endings):
            verdict = verdicts[RequestId(f"{each.problem.problem_id}#{sample}")]
            assert verdict.status in STATUSES[ending], verdict
            run.verdicts.append(verdict.model_copy(update={"wall_s": 0.0}))
    run.verdicts.close()


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    make(FOLDER)
    with_verdicts(FOLDER)
