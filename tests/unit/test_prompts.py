"""The rules for reasoning models, on R1's tokenizer with both of its templates, and for others."""

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ConfigError
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec, PromptOptions, Times
from harness.records import GenerationRequest, MathReference, Problem, Sampling
from harness.scorers.answers.marks import Marks, Reasoning
from harness.scorers.answers.thinking import split_thinking

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IM_START, IM_END = 151644, 151645
BOS, EOS, USER, ASSISTANT, THINK, END_THINK = 151646, 151643, 151644, 151645, 151648, 151649
INSTRUCTION = "{question}\nPut the answer in \\boxed{}."
PROBLEM = Problem(problem_id="t/1", question="1+1?", reference=MathReference(answer="2"))


def load(folder: Path) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder))


@pytest.fixture(scope="module")
def tokenizer(r1_tokenizer: Path) -> "PreTrainedTokenizerBase":
    return load(r1_tokenizer)


@pytest.fixture(scope="module", params=["chat_template.jinja", "chat_template.2025-01.jinja"])
def templated(request: pytest.FixtureRequest, r1_tokenizer: Path) -> tuple[Codec, bool]:
    """A codec for each of the two templates, with whether it opens ``<think>`` itself."""
    own = load(r1_tokenizer)
    own.chat_template = (r1_tokenizer / request.param).read_text(encoding="utf-8")
    return Codec(own, frozenset()), request.param == "chat_template.jinja"


def test_one_bos_where_plain_tokenization_gives_two(
    tokenizer: "PreTrainedTokenizerBase", templated: tuple[Codec, bool]
) -> None:
    codec, _ = templated
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], add_generation_prompt=True, tokenize=False
    )
    assert tokenizer(rendered)["input_ids"][:2] == [BOS, BOS], (
        "the trap is gone; so may the rule be"
    )
    ids = codec.prompt(PROBLEM, INSTRUCTION, chat=True, force_think=True).token_ids
    assert ids.count(BOS) == 1
    assert ids[0] == BOS


def test_no_system_prompt_and_the_instruction_in_the_user_turn(
    templated: tuple[Codec, bool],
) -> None:
    codec, _ = templated
    prompt = codec.prompt(PROBLEM, INSTRUCTION, chat=True, force_think=False)
    assert prompt.token_ids[1] == USER
    assert prompt.text.split("<\uff5cUser\uff5c>")[1].startswith(
        "1+1?\nPut the answer in \\boxed{}."
    )


def test_forced_thinking_makes_both_templates_the_same_prompt(
    templated: tuple[Codec, bool],
) -> None:
    codec, _ = templated
    prompt = codec.prompt(PROBLEM, INSTRUCTION, chat=True, force_think=True)
    assert prompt.opened_think
    assert prompt.text.endswith("<\uff5cAssistant\uff5c><think>\n")
    assert prompt.token_ids.count(THINK) == 1


def test_an_unforced_prompt_knows_whether_its_template_opened_the_thought(
    templated: tuple[Codec, bool],
) -> None:
    codec, opens = templated
    prompt = codec.prompt(PROBLEM, INSTRUCTION, chat=True, force_think=False)
    assert prompt.opened_think is opens


def test_a_bare_text_gets_the_one_bos_that_the_tokenizer_wants(
    templated: tuple[Codec, bool],
) -> None:
    codec, _ = templated
    prompt = codec.prompt(PROBLEM, INSTRUCTION, chat=False, force_think=False)
    assert prompt.token_ids.count(BOS) == 1
    assert prompt.token_ids[0] == BOS
    assert not prompt.opened_think


def test_no_template_is_said_in_one_line(r1_tokenizer: Path) -> None:
    own = load(r1_tokenizer)
    own.chat_template = None
    with pytest.raises(ConfigError, match=r"^protocol\.chat=true: .*chat template;"):
        Codec(own, frozenset()).prompt(PROBLEM, INSTRUCTION, chat=True, force_think=False)


TEMPLATE = "{{ bos_token }}{{ messages[0]['content'] }}{{ strftime_now('%d %b %Y %H:%M') }}"


@pytest.fixture
def dated(r1_tokenizer: Path) -> Codec:
    """A model whose template writes today's date, as Llama 3.2's does."""
    own = load(r1_tokenizer)
    own.chat_template = TEMPLATE
    return Codec(own, frozenset())


def test_a_template_that_asks_for_the_date_gets_the_protocols(
    dated: Codec, templated: tuple[Codec, bool]
) -> None:
    def text(**more: Any) -> str:
        return dated.prompt(PROBLEM, "{question}", chat=True, force_think=False, **more).text

    assert text().endswith("1+1?01 Jan 2025 00:00")
    assert text(options=PromptOptions(today=date(2026, 7, 4))).endswith("1+1?04 Jul 2026 00:00")
    assert dated.uses_date
    assert not templated[0].uses_date


def request_for(codec: Codec) -> GenerationRequest:
    prompt = codec.prompt(PROBLEM, INSTRUCTION, chat=True, force_think=True)
    return GenerationRequest(
        request_id="t/1#0",
        problem_id="t/1",
        prompt_token_ids=prompt.token_ids,
        prompt_opened_think=prompt.opened_think,
        sampling=Sampling(temperature=0, top_p=1, top_k=None, max_new_tokens=32),
        seed=1,
    )


@pytest.mark.parametrize(
    ("text", "stops", "answer"),
    [
        ("One and one.\n</think>\n\\boxed{2}", True, "\n\\boxed{2}"),
        ("so \\boxed{3}", False, None),  # cut off while thinking: the box is no answer
        ("so \\boxed{3}", True, None),  # ended without leaving the thought
        ("a </think> b </think> \\boxed{2}", True, " \\boxed{2}"),
    ],
)
def test_a_completion_is_split_by_how_the_prompt_ended(
    tokenizer: "PreTrainedTokenizerBase", text: str, stops: bool, answer: str | None
) -> None:
    codec = Codec(tokenizer, frozenset({EOS}))
    ids = tokenizer.encode(text, add_special_tokens=False) + ([EOS] if stops else [])
    completion = codec.completion(request_for(codec), ids, Times())
    assert completion.text == text
    assert completion.finish_reason == ("stop" if stops else "length")
    assert completion.completion_tokens == len(ids)
    border = ids[::-1].index(END_THINK) if END_THINK in ids else 0
    assert completion.reasoning_tokens == len(ids) - border
    assert split_thinking(text, prompt_opened_think=True).answer == answer


def test_a_model_that_does_not_think_has_no_reasoning_tokens(
    tokenizer: "PreTrainedTokenizerBase",
) -> None:
    codec = Codec(tokenizer, frozenset({EOS}))
    request = request_for(codec).model_copy(update={"prompt_opened_think": False})
    ids = tokenizer.encode("\\boxed{2}", add_special_tokens=False)
    assert codec.completion(request, ids, Times()).reasoning_tokens == 0
    assert split_thinking("\\boxed{2}", prompt_opened_think=False).answer == "\\boxed{2}"


def test_a_tokenizer_loads_from_a_model_folder(r1_tokenizer: Path) -> None:
    model = ResolvedModel(name="r1", path=str(r1_tokenizer), revision=None, sha256=None)
    codec = Codec.load(model)
    assert codec.stop_token_ids == {EOS}
    assert codec.pad_token_id == EOS
    assert codec.template_sha256 is not None


def test_the_marks_are_read_from_template_and_tokens(
    tokenizer: "PreTrainedTokenizerBase", templated: tuple[Codec, bool]
) -> None:
    codec, _ = templated
    assert codec.reasoning == "think"
    assert codec.special_tokens.isdisjoint({"<think>", "</think>"})
    given = Codec(tokenizer, frozenset(), "harmony")
    assert given.reasoning == "harmony", "what is given goes before what is detected"


@pytest.mark.parametrize(
    ("reasoning", "end"),
    [
        ("reasoning", "<reasoning>\n"),
        ("mistral", "[THINK]"),
        ("harmony", "<|channel|>analysis<|message|>"),
        (Marks(open="<plan>", close="</plan>"), "<plan>"),
    ],
)
def test_a_thought_is_forced_with_the_marks_of_the_model(
    tokenizer: "PreTrainedTokenizerBase", reasoning: Reasoning, end: str
) -> None:
    codec = Codec(tokenizer, frozenset({EOS}), reasoning)
    prompt = codec.prompt(PROBLEM, INSTRUCTION, chat=False, force_think=True)
    assert prompt.text.endswith(f"\\boxed{{}}.{end}")
    assert prompt.opened_think


@pytest.fixture(scope="module")
def instruct(instruct_tokenizer: Path) -> Codec:
    return Codec(load(instruct_tokenizer), frozenset())


def test_a_model_without_thoughts_gets_its_own_turns_and_no_bos(instruct: Codec) -> None:
    prompt = instruct.prompt(PROBLEM, "{question}", chat=True, force_think=False)
    assert prompt.text.endswith("<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n")
    assert not prompt.opened_think
    assert prompt.token_ids[0] == IM_START
    assert BOS not in prompt.token_ids
    assert instruct.reasoning is None
    assert instruct.stop_token_ids == {IM_END}
    bare = instruct.prompt(PROBLEM, "{question}", chat=False, force_think=False)
    assert instruct.words(bare.token_ids) == "1+1?"


def test_a_model_without_thoughts_can_be_made_to_think(instruct: Codec) -> None:
    forced = instruct.prompt(PROBLEM, "{question}", chat=True, force_think=True)
    assert forced.text.endswith("assistant\n<think>\n")
    assert forced.opened_think


def test_the_system_prompt_takes_the_place_of_the_templates_own(instruct: Codec) -> None:
    options = PromptOptions(system_prompt="Be brief.")
    instruct.check_options(options)
    prompt = instruct.prompt(PROBLEM, "{question}", chat=True, force_think=False, options=options)
    assert prompt.text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")


def test_a_question_about_marks_opens_no_thought(tokenizer: "PreTrainedTokenizerBase") -> None:
    codec = Codec(tokenizer, frozenset({EOS}))
    asked = PROBLEM.model_copy(update={"question": "What does <think> in a text mean?"})
    assert not codec.prompt(asked, INSTRUCTION, chat=False, force_think=False).opened_think


@pytest.mark.parametrize(
    ("reasoning", "thought", "answer"),
    [
        ("think", "<think>One and one.</think>", "\n\\boxed{2}"),
        ("think", "<think>I write `</think>` next. \u00fc</think>", " \\boxed{2}"),
        ("reasoning", "<reasoning>One and one \u4e09\u5341.</reasoning>", "\n\\boxed{2}"),
        ("kimi", "\u25c1think\u25b7One and one.\u25c1/think\u25b7", "\\boxed{2}"),
        (
            "harmony",
            "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>final<|message|>",
            "\\boxed{2}",
        ),
    ],
)
def test_the_tokens_of_a_thought_are_counted_whatever_its_marks(
    tokenizer: "PreTrainedTokenizerBase", reasoning: Reasoning, thought: str, answer: str
) -> None:
    codec = Codec(tokenizer, frozenset({EOS}), reasoning)
    request = request_for(codec).model_copy(update={"prompt_opened_think": False})
    before, after = (tokenizer.encode(part, add_special_tokens=False) for part in (thought, answer))
    found = codec.completion(request, [*before, *after, EOS], Times())
    assert found.reasoning_tokens == len(before)
    unfinished = codec.completion(request, before[: len(before) // 2], Times())
    assert unfinished.reasoning_tokens == len(before) // 2
