"""What known problems say of the pipe they came through; the pipe itself is in e2e/test_canary."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.config.settings import RunConfig
from harness.errors import CanaryError, ConfigError, StoreError
from harness.models.chat_tokenizer import Codec
from harness.records import (
    Completion,
    FinishReason,
    GenerationRequest,
    Grade,
    MathReference,
    Problem,
    Prompt,
    Verdict,
    VerdictStatus,
)
from harness.runner.decisions import find_unfinished
from harness.runner.smoke_test import (
    Canary,
    CanaryAnswer,
    check_scorers,
    find_faults,
    is_wanted,
    refuse_faults,
)
from harness.scorers.base import Scorer
from harness.scorers.build import build_scorer
from harness.store.manifest import CanaryReport
from harness.store.run_files import Run, create_run
from harness.tasks import Task, load_spec, load_task, parse_selection
from tests.conf.test_compose import compose
from tests.doubles import EngineDouble, ScorerDouble
from tests.facts import known, mentions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"
RIGHT = r"It is \boxed{5}."


def answer(
    text: str = RIGHT,
    *,
    end: FinishReason = "stop",
    status: VerdictStatus = "correct",
    thinks: bool = False,
    more_tokens: int = 0,
    error: str | None = None,
) -> CanaryAnswer:
    return CanaryAnswer(
        prompt=Prompt(problem_id="canary/sum", text="?", token_ids=(1, 2), opened_think=thinks),
        completion=Completion(
            request_id="canary/sum#0",
            text=text,
            finish_reason=end,
            prompt_tokens=2 + more_tokens,
            completion_tokens=400,
            reasoning_tokens=None,
            error=error,
        ),
        verdict=Verdict(
            request_id="canary/sum#0",
            status=status,
            detail="the sandbox is gone" if status == "scorer_error" else "",
            scorer="math_answer@3",
            wall_s=0,
        ),
    )


OVER = f"{RIGHT}<|im_end|>\n<|im_start|>user\nAnd 3 + 4?"
LOOP = "The answer is the answer. " * 60


@pytest.mark.parametrize(
    ("answers", "fault"),
    [
        ([answer("", end="error", error="no CUDA")] * 3, "all 3 requests … no CUDA"),
        ([answer(OVER), answer(OVER), answer()], "2 of 3 … <|im_end|> … markup"),
        (
            [answer(f"{RIGHT}<\uff5cAssistant\uff5c>") for _ in range(3)],
            "all 3 … <\uff5cAssistant\uff5c> … markup",
        ),
        ([answer(f"{RIGHT}<eot_here>") for _ in range(3)], "all 3 … <eot_here> … markup"),
        (
            [answer(thinks=True, status="no_answer")] * 2 + [answer(thinks=True, end="length")],
            "<think> … all 2 … </think>",
        ),
        ([answer(" ", status="no_answer")] * 3, "all 3 … empty"),
        (
            [answer(), answer(), answer(status="scorer_error")],
            "math_answer@3 … the sandbox is gone",
        ),
        (
            [answer(more_tokens=1)] * 3,
            "server … second BOS",
        ),
    ],
)
def test_what_spoils_every_answer_is_a_fault(answers: list[CanaryAnswer], fault: str) -> None:
    found = find_faults(answers, ["<eot_here>"])
    assert len(found.faults) == 1
    assert mentions(found.faults[0], fault)


@pytest.mark.parametrize(
    ("answers", "warnings"),
    [
        ([answer()] * 3, []),
        ([answer("<think>\nWell.\n</think>\n" + RIGHT, thinks=True)] * 3, []),
        (
            [answer(status="incorrect"), answer(status="incorrect"), answer(status="no_answer")],
            ["none of 3 … 2 + 3 … (2 incorrect, 1 no answer)"],
        ),
        (
            [answer(LOOP, end="length", status="truncated")] * 3,
            ["400 tokens, all 3", "none of 3"],
        ),
        ([answer(OVER), answer(), answer()], ["1 of 3 … <|im_end|> … markup"]),
        ([answer(""), answer(), answer()], ["1 of 3 … empty"]),
        (
            [answer("", end="error", error="too long"), answer(), answer()],
            ["1 of 3 requests … too long"],
        ),
        # a thought that the budget cut says nothing of the parser
        (
            [answer("Hm.", thinks=True, end="length", status="truncated")] * 3,
            ["400 tokens:", "none of 3"],
        ),
        # one that ends without the mark, from a model that writes it
        (
            [answer("Hm.", thinks=True, status="no_answer")]
            + [answer(f"Hm.\n</think>\n{RIGHT}", thinks=True, end="length")] * 2,
            [],
        ),
    ],
)
def test_weakness_is_said_and_stops_nothing(
    answers: list[CanaryAnswer], warnings: list[str]
) -> None:
    found = find_faults(answers)
    assert found.faults == ()
    assert len(found.warnings) == len(warnings)
    for said, expected in zip(found.warnings, warnings, strict=True):
        assert mentions(said, expected)


@pytest.mark.parametrize(
    ("override", "requests", "wanted"),
    [
        ("canary=auto", 100, False),
        ("canary=auto", 101, True),
        ("canary=true", 1, True),
        ("canary=false", 9999, False),
    ],
)
def test_a_long_run_begins_with_known_problems(override: str, requests: int, wanted: bool) -> None:
    assert is_wanted(compose(override), requests) is wanted


def test_another_value_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^canary=maybe: .*'auto', True or False$"):
        compose("canary=maybe")


# --- scorers ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return [load_task(parse_selection(name)) for name in ("humaneval:2", "math_mini:2")]


def started(config: RunConfig, stack: ExitStack) -> dict[str, Scorer]:
    """The two scorers, by task."""
    return {
        task: stack.enter_context(
            build_scorer(name, workers=1, math_limit_s=8, sandbox=config.sandbox)
        )
        for task, name in (("humaneval", "python_tests"), ("math_mini", "math_answer"))
    }


def test_scorers_that_work_here_pass(tasks: list[Task]) -> None:
    with ExitStack() as stack:
        check_scorers(tasks, started(compose(), stack))


def test_a_sandbox_that_fails_right_answers_is_found(tasks: list[Task]) -> None:
    with ExitStack() as stack:
        # in a ten-thousandth of a second some get through
        scorers = started(compose("sandbox.time_limit_s=1e-9"), stack)
        with pytest.raises(CanaryError) as caught:
            check_scorers(tasks, scorers)
    words = (
        r"canary: python_tests@2 .*\b"
        r"(right .*canary/\w+ (incorrect|scorer er)|wrong .*canary/\w+ scorer er)"
    )
    assert re.match(words, str(caught.value))
    assert "canary=false" in str(caught.value)


def test_an_answer_key_that_its_own_scorer_cannot_read_is_found(tasks: list[Task]) -> None:
    broken = Problem(
        problem_id="math_mini/x", question="?", reference=MathReference(answer="\\frac{1}{")
    )
    maths = [tasks[1].model_copy(update={"problems": (broken,)})]
    with ExitStack() as stack, pytest.raises(CanaryError, match=r"right .*math_mini/x"):
        check_scorers(maths, started(compose(), stack))


# --- prompts ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(r1_tokenizer: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(r1_tokenizer))


@pytest.fixture
def tokenizer(loaded: "PreTrainedTokenizerBase") -> "Iterator[PreTrainedTokenizerBase]":
    """With its own template, whatever the test before gave it."""
    own = loaded.chat_template
    yield loaded
    loaded.chat_template = own


SPECS = [load_spec("math_mini"), load_spec("humaneval")]


def test_a_template_that_loses_the_question_is_found_before_anything_is_loaded(
    tokenizer: "PreTrainedTokenizerBase",
) -> None:
    tokenizer.chat_template = "{{ bos_token }}{{ messages[0]['role'] }}<\uff5cAssistant\uff5c>"
    with pytest.raises(CanaryError, match=r"chat template .*canary/sum"):
        Canary(
            compose(),
            SPECS,
            {"math_mini": Lenient(), "humaneval": Lenient()},
            Codec(tokenizer, frozenset()),
        )


def test_a_template_that_cannot_be_rendered_is_one_line(
    tokenizer: "PreTrainedTokenizerBase",
) -> None:
    tokenizer.chat_template = "{% for message in messages %}"
    with pytest.raises(ConfigError, match=r"^model: .*chat template .*: Template"):
        Canary(
            compose(),
            SPECS,
            {"math_mini": Lenient(), "humaneval": Lenient()},
            Codec(tokenizer, frozenset()),
        )


class OneAnswer(EngineDouble):
    """An engine that says the same to everybody and remembers what it was sent."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.requests: list[GenerationRequest] = []
        self.restarts = 0

    def restart_counters(self) -> None:
        self.restarts += 1

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        self.requests += requests
        for request in requests:
            yield Completion(
                request_id=request.request_id,
                text=self.text,
                finish_reason="stop",
                prompt_tokens=len(request.prompt_token_ids),
                completion_tokens=9,
                reasoning_tokens=None,
            )


HARMONY = (
    "<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>"
    + RIGHT
)


def test_the_marks_of_a_thought_are_no_stray_markup() -> None:
    tokens = ["<|channel|>", "<|message|>", "<|end|>", "<|start|>"]
    assert find_faults([answer(HARMONY)] * 3, tokens, "harmony").faults == ()
    assert find_faults([answer(HARMONY)] * 3, tokens, "think").faults
    assert find_faults([answer(f"{HARMONY}<|end|>")] * 3, tokens, "harmony").faults


def test_a_thought_that_never_ends_is_a_fault_in_any_style() -> None:
    open_ended = [answer("Hm", thinks=True, status="no_answer")] * 2
    (fault,) = find_faults(open_ended, (), "mistral").faults
    assert "opens [THINK]" in fault
    assert "never wrote [/THINK]" in fault
    ends = [answer(f"Hm[/THINK]{RIGHT}", thinks=True), *open_ended]
    assert find_faults(ends, (), "mistral").faults == ()


def test_three_problems_go_out_by_the_runs_own_protocol_and_are_kept(
    tokenizer: "PreTrainedTokenizerBase", tmp_path: Path
) -> None:
    config = compose("protocol=deepseek_r1")
    engine = OneAnswer("2 and 3 make 5.\n</think>\n\n" + RIGHT)
    with ExitStack() as stack:
        canary = Canary(config, SPECS, started(config, stack), Codec(tokenizer, frozenset()))
        report = canary.run(engine, tmp_path)
    kept = [json.loads(line) for line in (tmp_path / "canary.jsonl").read_text().splitlines()]
    assert [line["prompt"]["problem_id"] for line in kept] == [
        "canary/sum",
        "canary/is_even",
        "canary/half",
    ]
    assert all(line["prompt"]["text"].endswith("<think>\n") for line in kept)
    assert [line["verdict"]["status"] for line in kept] == ["correct", "incorrect", "incorrect"]
    assert {request.sampling.temperature for request in engine.requests} == {0.6}
    assert {request.sampling.max_new_tokens for request in engine.requests} == {2048}
    assert (report.problems, report.solved, report.faults) == (3, 1, ())
    assert engine.restarts == 1


class Lenient(ScorerDouble):
    def grade(self, problem: Problem, answer: str) -> Grade:
        return Grade(status="correct", extracted=answer)


class OwnTemplate(OneAnswer):
    """Counts the prompt that it rendered itself: one token more than ours has."""

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        for each in super().generate(requests):
            yield each.model_copy(update={"prompt_tokens": known(each.prompt_tokens) + 1})


@pytest.mark.parametrize("mode", ["tokens", "chat"])
def test_a_server_that_renders_its_own_prompts_may_count_more(
    tokenizer: "PreTrainedTokenizerBase", tmp_path: Path, mode: str
) -> None:
    server = ("engine=openai", "engine.base_url=http://127.0.0.1:1/v1", f"engine.mode={mode}")
    scorers = {"math_mini": Lenient(), "humaneval": Lenient()}
    config = compose(*server, "protocol.force_think=false")
    canary = Canary(config, SPECS, scorers, Codec(tokenizer, frozenset()))
    report = canary.run(OwnTemplate("</think>\n" + RIGHT), tmp_path)
    assert len(report.faults) == (mode == "tokens")
    assert all("second BOS" in fault for fault in report.faults)


def test_a_run_that_its_canary_stopped_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its prompts are those of the faulty template, even when that was mended since."""
    run = create_run(tmp_path, "m", "e")
    whole = Run(GOLDEN).read_manifest()
    seen = CanaryReport(
        problems=3, solved=0, faults=("x",), warnings=(), max_new_tokens=9, wall_s=1
    )
    for canary, found in ((seen.model_copy(update={"faults": ()}), run.run_id), (seen, None)):
        run.write_manifest(whole.model_copy(update={"status": "failed", "canary": canary}))
        config = whole.config.model_copy(update={"resume": "auto"})
        again = find_unfinished(config, tmp_path)
        assert (again.run_id if again else None) == found
    named = config.model_copy(update={"resume": str(run.folder)})
    with pytest.raises(StoreError, match="known problems"):
        find_unfinished(named, tmp_path)


def test_markup_that_the_tokenizer_does_not_know_is_said(
    tokenizer: "PreTrainedTokenizerBase", tmp_path: Path
) -> None:
    tokenizer.chat_template = "<|start_header|>{{ messages[0]['content'] }}<|im_end|>"
    config = compose("protocol=greedy")
    with ExitStack() as stack:
        canary = Canary(config, SPECS, started(config, stack), Codec(tokenizer, frozenset()))
        report = canary.run(OneAnswer(RIGHT), tmp_path)
    assert mentions(report.warnings[0], "chat template", "<|im_end|>, <|start_header|>, ")


# --- keys and values in FP8 ----------------------------------------------------------------------

RISKY = ("engine=vllm", "model=r1_distill_qwen_7b", "+engine.args.kv_cache_dtype=fp8")


def flown(solved: int) -> CanaryReport:
    return CanaryReport(
        problems=3, solved=solved, faults=(), warnings=(), max_new_tokens=9, wall_s=1.0
    )


def test_an_fp8_cache_on_a_descendant_of_qwen_math_must_pass_the_smoke_test() -> None:
    config = compose(*RISKY)
    assert is_wanted(config, 1)
    refuse_faults(flown(1), config)
    with pytest.raises(CanaryError, match="kv_cache_dtype=fp8"):
        refuse_faults(flown(0), config)
    with pytest.raises(ConfigError, match=r"^engine\.args\.kv_cache_dtype=fp8: .*canary=true"):
        is_wanted(compose(*RISKY, "canary=false"), 1)


@pytest.mark.parametrize(
    "overrides",
    [
        (*RISKY, "model=r1_distill_llama_8b"),
        ("engine=vllm", "model=r1_distill_qwen_7b"),
        ("engine=transformers", "model=r1_distill_qwen_7b"),
    ],
)
def test_other_models_and_caches_need_not(overrides: tuple[str, ...]) -> None:
    config = compose(*overrides)
    assert not is_wanted(config, 1)
    refuse_faults(flown(0), config)
