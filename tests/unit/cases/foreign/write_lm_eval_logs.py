"""Writes the logs of lm-evaluation-harness: its own gsm8k, with a model of canned answers.

In an environment with lm_eval 0.4.13; the folder has test.jsonl of openai/gsm8k:

    python write_lm_eval_logs.py FOLDER_OF_gsm8k OUTPUT
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import lm_eval
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager

ANSWERS = {"Janet": "So #### 18", "robe": "I say 3", "house": "#### 1", "sprints": "no idea"}
"""By a word of the question."""


class Canned(LM):  # type: ignore[misc]  # what type it has is not known here
    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        found = []
        for request in requests:
            question = request.args[0].rpartition("Question:")[2]
            found.append(next(text for word, text in ANSWERS.items() if word in question))
        return found

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> NoReturn:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> NoReturn:
        raise NotImplementedError


def main(data: Path, output: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = (data / "test.jsonl").read_text(encoding="utf-8").splitlines()[:4]
        mirror = Path(folder) / "gsm8k.jsonl"
        mirror.write_text("\n".join(lines) + "\n", encoding="utf-8")
        own = Path(lm_eval.__file__).parent / "tasks" / "gsm8k" / "gsm8k.yaml"
        text = own.read_text(encoding="utf-8")
        begin = text.index("dataset_path"), text.index("output_type")
        data_files = json.dumps({"train": str(mirror), "test": str(mirror)})
        text = (
            f"{text[: begin[0]]}dataset_path: json\n"
            f"dataset_kwargs: {{data_files: {data_files}}}\n{text[begin[1] :]}"
        )
        (Path(folder) / "gsm8k.yaml").write_text(text, encoding="utf-8")
        manager = TaskManager(include_path=folder, include_defaults=False)
        tracker = EvaluationTracker(output_path=str(output))
        tracker.general_config_tracker.log_experiment_args(
            model_source="hf",
            model_args="pretrained=gegenprobe/canned",
            system_instruction=None,
            chat_template=None,
            fewshot_as_multiturn=False,
        )
        results = lm_eval.simple_evaluate(
            model=Canned(), tasks=["gsm8k"], num_fewshot=2, task_manager=manager, log_samples=True
        )
        samples = results.pop("samples")
        tracker.save_results_aggregated(results=results, samples=samples)
        for name, rows in samples.items():
            tracker.save_results_samples(task_name=name, samples=rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
