"""Writes the inspect logs of this folder: a model of canned answers (mockllm), no network.

In an environment with inspect-ai 0.3.285 alone:

    python write_inspect_logs.py FOLDER_OF_gsm8k_test_jsonl
"""

import json
import sys
from pathlib import Path
from typing import Any

from inspect_ai import Task
from inspect_ai import eval as run_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    ContentReasoning,
    ContentText,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import match
from inspect_ai.solver import Generate, TaskState, generate, prompt_template, solver

HERE = Path(__file__).parent


def answer(text: str, *, thought: str | None = None, stop: str = "stop") -> ModelOutput:
    content = (
        text if thought is None else [ContentReasoning(reasoning=thought), ContentText(text=text)]
    )
    message = ChatMessageAssistant(content=content, source="generate")
    return ModelOutput(
        model="gegenprobe/canned",
        choices=[ChatCompletionChoice(message=message, stop_reason=stop)],
        usage=ModelUsage(input_tokens=40, output_tokens=len(text), total_tokens=40 + len(text)),
    )


@solver  # type: ignore[untyped-decorator]  # what type it has is not known here
def fail_on_third() -> Any:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        if str(state.sample_id).endswith("/3.json"):
            raise RuntimeError("the server is gone")
        return state

    return solve


def write(name: str, task: Task, outputs: list[ModelOutput], **options: Any) -> None:
    model = get_model("mockllm/gegenprobe/canned", custom_outputs=outputs)
    log = run_eval(
        task,
        model=model,
        log_dir=str(HERE),
        log_format="eval",
        display="none",
        max_samples=1,
        max_connections=1,
        fail_on_error=False,
        **options,
    )[0]
    assert log.status == "success", log.error
    Path(log.location).rename(HERE / f"{name}.eval")


def gsm8k(data: Path) -> None:
    rows = [json.loads(line) for line in (data / "test.jsonl").read_text().splitlines()[:4]]
    samples = [
        Sample(id=number, input=row["question"], target=row["answer"].rpartition("####")[2].strip())
        for number, row in enumerate(rows, start=1)
    ]
    task = Task(
        dataset=MemoryDataset(samples, name="gsm8k", location="openai/gsm8k"),
        solver=[prompt_template("{prompt}\n\nThink, then give the number."), generate()],
        scorer=match(numeric=True),
        config=GenerateConfig(temperature=0.6, top_p=0.95, max_tokens=512, seed=7),
        epochs=2,
        name="gsm8k",
    )
    right = [sample.target for sample in samples]
    outputs = [
        answer(f"The answer is \\boxed{{{right[0]}}}: {right[0]}", thought="Add them."),
        answer(f"{right[1]}"),
        answer("I think it is 7"),
        answer("Let me see", stop="max_tokens"),
        answer(f"It is {right[0]}"),
        answer("5"),
        answer(f"{right[2]}"),
        answer("0"),
    ]
    write("inspect_gsm8k", task, outputs)


def math_mini(problems: Path) -> None:
    rows = [json.loads(line) for line in problems.read_text().splitlines()[:3]]
    samples = [
        Sample(id=row["unique_id"], input=row["problem"], target=row["answer"]) for row in rows
    ]
    samples[2].id = f"{rows[2]['unique_id'].rpartition('/')[0]}/3.json"
    task = Task(
        dataset=MemoryDataset(samples, name="math_mini"),
        solver=[fail_on_third(), generate()],
        scorer=match(),
        name="math_mini",
    )
    write("inspect_math_mini", task, [answer(rows[0]["answer"]), answer("no idea")])


if __name__ == "__main__":
    gsm8k(Path(sys.argv[1]))
    math_mini(Path(sys.argv[2]))
