"""Checks the scorers with known answers, then sends known problems through the whole run."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.config.settings import RunConfig
from harness.engines.base import Engine
from harness.errors import CanaryError, ConfigError
from harness.io.jsonl import JsonlWriter
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, Problem, Prompt, RequestId, VerdictStatus
from harness.runner.pipeline import Question, build_requests, judge, without_secrets
from harness.runner.smoke_test.faults import MARKUP, CanaryAnswer, find_faults
from harness.scorers.answers.marks import written_style
from harness.scorers.base import Scorer
from harness.scorers.build import definition_of
from harness.store.manifest import CanaryReport
from harness.tasks import Task, TaskSpec

SENT = 3
"""How many known problems are sent."""
LONG_RUN = 100
"""With more requests than this, ``canary=auto`` runs known problems first."""
MAX_NEW_TOKENS = 2048
"""Enough tokens for a distill to think about an easy problem, some 20 s on a GPU."""
AT_RISK = "Qwen2.5-Math"
ANYWAY = "canary=false runs anyway"
_SHOWN = 80
"""The most characters of a prompt in a message."""


def risky_cache(config: RunConfig) -> str | None:
    """The data type of the KV cache where it may spoil every answer, else None.

    FP8 takes descendants of Qwen2.5-Math to an accuracy near 0 (verl #4435).

    FP8 takes descendants of Qwen2.5-Math to an accuracy near 0 (verl #4435).
    """
    dtype = config.engine.cache_dtype
    is_risky = dtype.startswith("fp8") and AT_RISK in (config.model.base or "")
    return dtype if is_risky else None


def is_wanted(config: RunConfig, requests: int) -> bool:
    """Whether a run with this many requests begins with known problems.

    Raises:
        ConfigError: They are forbidden where only they can tell whether the model works.
    """
    if (dtype := risky_cache(config)) is not None:
        if config.canary is False:
            raise ConfigError(
                f"engine.args.kv_cache_dtype={dtype}: breaks models made from {AT_RISK}, unless "
                "the known problems show otherwise; canary=true"
            )
        return True
    return requests > LONG_RUN if config.canary == "auto" else config.canary


def check_scorers(tasks: Sequence[Task], scorers: Mapping[str, Scorer]) -> None:
    """Grades known right and wrong answers: takes seconds, and no accelerator.

    Args:
        tasks: Of the run. Of each the first problem's own answer is graded too, if it has one.
        scorers: By task.

    Raises:
        CanaryError: A right answer is not called correct, or a wrong one is.
    """
    by_scorer = {task.spec.scorer: scorers[task.spec.name] for task in tasks}
    for name, scorer in by_scorer.items():
        for known in definition_of(name).known_problems:
            _expect(scorer, known.problem, known.right, "correct")
            _expect(scorer, known.problem, known.wrong, "incorrect")
    for task in tasks:
        first = task.problems[0]
        answer = definition_of(task.spec.scorer).right_answer(first)
        if answer is not None:
            _expect(scorers[task.spec.name], first, answer, "correct")


def _expect(scorer: Scorer, problem: Problem, answer: str, wanted: VerdictStatus) -> None:
    completion = Completion(
        request_id=RequestId.of(problem.problem_id, 0),
        text=f"Let me think.\n{written_style(None).close}\n\n{answer}",
        finish_reason="stop",
        prompt_tokens=0,
        completion_tokens=0,
        reasoning_tokens=None,
    )
    verdict = judge(Question(problem, True, scorer), completion)
    if verdict.status != wanted:
        right = "right" if wanted == "correct" else "wrong"
        raise CanaryError(
            f"canary: {scorer.name} calls a {right} answer to {problem.problem_id} "
            f"{verdict.status.replace('_', ' ')} ({verdict.detail}): it does not work on this "
            f"machine, or with these settings; {ANYWAY}"
        )


def chosen(scorers: Iterable[str]) -> list[tuple[str, Problem]]:
    """The problems to send: one for each scorer in turn, until there are enough.

    Empty where none of the scorers has any.

    Empty where none of the scorers has any.
    """
    known = {name: definition_of(name).known_problems for name in sorted(set(scorers))}
    having = [(name, problems) for name, problems in known.items() if problems]
    turns = [(place, *having[place % len(having)]) for place in range(SENT if having else 0)]
    return [(name, problems[place % len(problems)].problem) for place, name, problems in turns]


class Canary:
    """The known problems of one run, rendered with its template and protocol."""

    def __init__(
        self,
        config: RunConfig,
        specs: Sequence[TaskSpec],
        scorers: Mapping[str, Scorer],
        codec: Codec,
    ) -> None:
        """Renders the problems.

        Args:
            config: The run's.
            specs: Its tasks.
            scorers: By task.
            codec: The model's.

        Raises:
            CanaryError: The chat template loses the question.
        """
        self._config = config
        self._codec = codec
        first = {spec.scorer: spec for spec in reversed(specs)}
        self._questions: dict[str, Question] = {}
        self._prompts: dict[str, Prompt] = {}
        for name, problem in chosen(first):
            prompt = codec.prompt(
                problem,
                first[name].prompt,
                chat=config.protocol.chat,
                force_think=config.protocol.force_think,
                options=config.protocol.prompt_options(),
            )
            if config.engine.renders_prompts:
                prompt = prompt.model_copy(update={"token_ids": ()})  # the server renders its own
            _check_rendered(prompt, problem, codec)
            self._prompts[problem.problem_id] = prompt
            self._questions[problem.problem_id] = Question(
                problem, prompt.opened_think, scorers[first[name].name], codec.reasoning
            )

    def run(self, engine: Engine, folder: Path) -> CanaryReport:
        """Sends the problems and returns the report.

        Args:
            engine: Loaded; its counters start anew after this.
            folder: Of the run, where ``canary.jsonl`` goes.
        """
        began = time.monotonic()
        answers = self._answers(engine)
        _keep(answers, folder)
        engine.restart_counters()
        found = find_faults(answers, self._codec.special_tokens, self._codec.reasoning)
        return CanaryReport(
            problems=len(answers),
            solved=sum(each.verdict.status == "correct" for each in answers),
            faults=found.faults,
            warnings=(*self._unknown_markup(), *found.warnings),
            max_new_tokens=self._budget,
            wall_s=time.monotonic() - began,
        )

    def _answers(self, engine: Engine) -> list[CanaryAnswer]:
        sampling = self._config.protocol.sampling.model_copy(
            update={"max_new_tokens": self._budget}
        )
        prompts = list(self._prompts.values())
        requests = build_requests(prompts, sampling, 1, self._config.seed)
        answers = []
        for raw in engine.generate(requests):
            completion = without_secrets(raw)
            problem_id = completion.request_id.problem_id
            verdict = judge(self._questions[problem_id], completion)
            answers.append(
                CanaryAnswer(
                    prompt=self._prompts[problem_id], completion=completion, verdict=verdict
                )
            )
        return answers

    @property
    def _budget(self) -> int:
        return min(self._config.protocol.max_new_tokens, MAX_NEW_TOKENS)

    def _unknown_markup(self) -> list[str]:
        """Text that looks like a template's token and was tokenized letter by letter."""
        text = next(iter(self._prompts.values())).text
        if not self._config.protocol.chat or not self._codec.special_tokens:
            return []
        unknown = sorted({mark for mark in MARKUP.findall(text) if not self._codec.is_token(mark)})
        if not unknown:
            return []
        return [
            f"the chat template writes {', '.join(unknown)}, for which this tokenizer has no "
            "token: is it another model's template?"
        ]


def _check_rendered(prompt: Prompt, problem: Problem, codec: Codec) -> None:
    """Checks that the question survived the template and the tokenizer."""
    if not prompt.token_ids:
        return  # the server renders
    for where, text in (
        ("chat template", prompt.text),
        ("tokenizer", codec.words(prompt.token_ids)),
    ):
        # Templates may strip a turn's ends; within it every blank and line break counts.
        if problem.question.strip() not in text:
            raise CanaryError(
                f"canary: the {where} loses the question: of {problem.problem_id} it leaves "
                f"'{_short(text)}'; {ANYWAY}"
            )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}…"


def _keep(answers: Sequence[CanaryAnswer], folder: Path) -> None:
    writer = JsonlWriter(folder / "canary.jsonl")
    for answer in answers:
        writer.append(answer)
    writer.close()


def refuse_faults(report: CanaryReport, config: RunConfig) -> None:
    """Stops a run whose known problems showed a fault, or that needs at least one solved.

    Raises:
        CanaryError: Names what was seen and what it may mean.
    """
    dtype = risky_cache(config)
    if dtype is not None and not report.solved:
        raise CanaryError(
            f"canary: none of {report.problems} known problems was solved; engine.args."
            f"kv_cache_dtype={dtype} breaks models made from {AT_RISK}: leave it out"
        )
    if report.faults:
        raise CanaryError(
            f"canary: {'; '.join(report.faults)}; canary.jsonl in the run's folder has the "
            f"answers, {ANYWAY}"
        )
