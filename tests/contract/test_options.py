"""Options of a protocol mean the same in every engine."""

from collections.abc import Callable

import pytest

from harness.engines.base import Engine
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec, PromptOptions, Times
from harness.records import Example, GenerationRequest, MathReference, Problem
from tests.contract.conftest import (
    STOP_IDS,
    TINY_CONTEXT,
    Serve,
    ask,
    attached,
    by_id,
    open_engine,
)
from tests.facts import known

# transformers and vLLM warn about much that is not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore")

PENALTY = 1.3


def with_options(request: GenerationRequest, **options: object) -> GenerationRequest:
    sampling = request.sampling.model_copy(update=options)
    return request.model_copy(update={"sampling": sampling})


@pytest.fixture(scope="module")
def penalised(tiny: ResolvedModel) -> Callable[[GenerationRequest], list[int]]:
    """Greedy decoding with transformers' processor: one request, no cache, no batch."""
    import torch
    from transformers import AutoModelForCausalLM, RepetitionPenaltyLogitsProcessor

    model = AutoModelForCausalLM.from_pretrained(tiny.path, dtype="float32").eval()
    process = RepetitionPenaltyLogitsProcessor(PENALTY)

    def decode(request: GenerationRequest) -> list[int]:
        ids = list(request.prompt_token_ids)
        for _ in range(request.sampling.max_new_tokens):
            known = torch.tensor([ids])
            with torch.inference_mode():
                logits = model(known, logits_to_keep=1).logits[:, -1].float()
            ids.append(int(process(known, logits).argmax()))
            if ids[-1] in STOP_IDS:
                break
        return ids[len(request.prompt_token_ids) :]

    return decode


def test_a_repetition_penalty_counts_prompt_and_answer(
    serve: Serve, tiny: ResolvedModel, penalised: Callable[[GenerationRequest], list[int]]
) -> None:
    plain = [ask(number, max_new_tokens=30, prompt_tokens=20 + number) for number in range(8)]
    requests = [with_options(each, repetition_penalty=PENALTY) for each in plain]
    codec = Codec.load(tiny)
    expected = {
        each.request_id: codec.completion(each, penalised(each), Times()).text for each in requests
    }
    found = {key: each.text for key, each in by_id(serve(requests)).items()}
    assert found == expected
    assert found != {key: each.text for key, each in by_id(serve(plain)).items()}


def test_a_penalty_is_of_its_own_request_alone(serve: Serve) -> None:
    plain = [ask(number) for number in range(4)]
    alone = by_id(serve(plain))
    mixed = [*plain, *(with_options(ask(n + 50), repetition_penalty=PENALTY) for n in range(4))]
    together = by_id(serve(mixed))
    assert {key: together[key].text for key in alone} == {k: v.text for k, v in alone.items()}


def test_the_highest_min_p_is_greedy(serve: Serve) -> None:
    greedy = by_id(serve([ask(number) for number in range(4)]))
    warm = by_id(serve([ask(number, temperature=1.0, min_p=1.0) for number in range(4)]))
    assert {k: v.text for k, v in warm.items()} == {k: v.text for k, v in greedy.items()}


def test_a_low_min_p_changes_what_is_drawn(serve: Serve) -> None:
    plain = by_id(serve([ask(n, temperature=1.5, seed=n) for n in range(6)]))
    cut = by_id(serve([ask(n, temperature=1.5, seed=n, min_p=0.5) for n in range(6)]))
    assert {k: v.text for k, v in cut.items()} != {k: v.text for k, v in plain.items()}


def test_a_stop_text_ends_an_answer_and_is_no_part_of_it(serve: Serve, tiny: ResolvedModel) -> None:
    """Taken from the middle of what the engine says without it, across tokens' boundaries."""
    codec = Codec.load(tiny)
    plain = [ask(number, max_new_tokens=40) for number in range(8)]
    whole = by_id(serve(plain))
    requests, left = [], {}
    for request in plain:
        text = whole[request.request_id].text
        at = len(text) // 2
        stop = text[at : at + 5]
        if "\ufffd" in stop or not stop:  # bytes that are no text
            continue
        requests.append(with_options(request, stop=("never said", stop)))
        left[request.request_id] = text[: text.find(stop)]
    assert len(requests) >= 4
    found = by_id(serve(requests))
    assert {key: each.text for key, each in found.items()} == left
    assert {each.finish_reason for each in found.values()} == {"stop"}
    for key, each in found.items():
        assert 0 < known(each.completion_tokens) <= known(whole[key].completion_tokens)
        assert each.error is None
        assert each.finished_s is not None
    unsaid = [with_options(request, stop=("never said",)) for request in plain]
    again = by_id(serve(unsaid))
    assert {k: v.text for k, v in again.items()} == {k: v.text for k, v in whole.items()}
    assert {k: v.finish_reason for k, v in again.items()} == {
        k: v.finish_reason for k, v in whole.items()
    }
    assert codec.tokens_until([], ()) is None


@pytest.mark.vllm
@pytest.mark.parametrize(
    "options",
    [
        PromptOptions(system_prompt="Be brief."),
        PromptOptions(
            system_prompt="Be brief.",
            examples=(Example(example_id="t/a", question="1?", answer="It is 1."),),
        ),
        PromptOptions(
            examples=(Example(example_id="t/a", question="1?", answer="It is 1."),),
            has_turns=False,
        ),
    ],
    ids=["system", "turns", "text"],
)
def test_a_server_that_renders_is_asked_the_same(
    vllm_server_engine: Engine, tiny: ResolvedModel, options: PromptOptions
) -> None:
    codec = Codec.load(tiny)
    requests = []
    for number in range(4):
        problem = Problem(
            problem_id=f"p/{number}", question=f"{number}?", reference=MathReference(answer="0")
        )
        prompt = codec.prompt(
            problem, "What is {question}", chat=True, force_think=False, options=options
        )
        asked = {
            "prompt_token_ids": prompt.token_ids,
            "prompt_opened_think": prompt.opened_think,
            "user_text": prompt.user_text,
            "earlier_turns": prompt.earlier_turns,
        }
        requests.append(ask(number, max_new_tokens=24).model_copy(update=asked))
    with open_engine(attached(vllm_server_engine, "chat"), tiny, TINY_CONTEXT) as engine:
        chatted = by_id(list(engine.generate(requests)))
    for expected in vllm_server_engine.generate(requests):
        got = chatted[expected.request_id]
        assert got.prompt_tokens == expected.prompt_tokens
        # Of an answer that ends within a character, the server keeps what it cannot spell yet.
        is_cut_off = expected.text.endswith("\ufffd")
        assert got.text
        assert expected.text.startswith(got.text)
        assert is_cut_off or got.text == expected.text
