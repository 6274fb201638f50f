"""One suite for every engine: what a run relies on, whichever engine it chose."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import pytest

from harness.engines.base import Engine
from harness.engines.build import build_engine
from harness.engines.kv_cache import ATTENTION
from harness.engines.recorded_environment import RECORDED
from harness.engines.transformers_engine import TRANSFORMERS_SETTINGS, TransformersConfig
from harness.engines.vllm_server_engine import VllmServerEngine
from harness.engines.vllm_settings import VLLM_SETTINGS
from harness.errors import ConfigError, GenerationError
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, GenerationRequest, MathReference, Problem
from tests.contract.conftest import (
    STOP_IDS,
    TINY_CONTEXT,
    Serve,
    ask,
    attached,
    by_id,
    first_of,
    open_engine,
    vllm_config,
    vllm_server_config,
)
from tests.facts import known, mentions, narrowed

# transformers and vLLM warn about much that is not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def naive(tiny: ResolvedModel) -> Callable[[GenerationRequest], list[int]]:
    """Greedy decoding as one would write it first: one request, no cache, no batch."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny.path, dtype="float32").eval()

    @cache
    def decode(prompt_token_ids: tuple[int, ...], max_new_tokens: int) -> list[int]:
        ids = list(prompt_token_ids)
        stops = frozenset(STOP_IDS)
        for _ in range(max_new_tokens):
            with torch.inference_mode():
                ids.append(int(model(torch.tensor([ids]), logits_to_keep=1).logits[0, -1].argmax()))
            if ids[-1] in stops:
                break
        return ids[len(prompt_token_ids) :]

    return lambda request: decode(request.prompt_token_ids, request.sampling.max_new_tokens)


@pytest.fixture(scope="module")
def mixed() -> list[GenerationRequest]:
    """Requests of very different lengths, more than fit into one batch."""
    shapes = [(3, 40), (300, 5), (20, 120), (7, 1), (150, 60), (2, 90), (40, 2), (90, 30)]
    return [
        ask(number, prompt_tokens=prompt, max_new_tokens=new)
        for number, (prompt, new) in enumerate(shapes * 2)
    ]


BESIDE_THE_TEXT = ("sent_s", "retries", "waited_s", "cached_prompt_tokens", "token_gaps")
"""What an engine tells of a request besides its answer."""


def test_greedy_decoding_is_the_naive_one(
    serve: Serve,
    naive: Callable[[GenerationRequest], list[int]],
    tiny: ResolvedModel,
    mixed: list[GenerationRequest],
) -> None:
    from harness.models.chat_tokenizer import Codec, Times

    codec = Codec.load(tiny)
    found = by_id(serve(mixed))
    assert found.keys() == {request.request_id for request in mixed}
    for request in mixed:
        expected = codec.completion(request, naive(request), Times())
        got = found[request.request_id]
        told = {**Times()._asdict(), **dict.fromkeys(BESIDE_THE_TEXT)}
        assert got.model_copy(update=told) == expected


def test_counts_and_finish_reasons_are_true(serve: Serve) -> None:
    requests = [ask(n, temperature=1.0, seed=n, max_new_tokens=25) for n in range(16)]
    completions = serve(requests)
    stopped = [each for each in completions if each.finish_reason == "stop"]
    cut = [each for each in completions if each.finish_reason == "length"]
    assert len(stopped) + len(cut) == 16
    assert stopped
    assert cut
    assert all(each.completion_tokens == 25 for each in cut)
    assert all(1 <= known(each.completion_tokens) <= 25 for each in stopped)
    assert any(known(each.completion_tokens) < 25 for each in stopped)
    assert all(each.prompt_tokens == 20 for each in completions)
    assert all(each.error is None for each in completions)


def test_one_new_token(serve: Serve) -> None:
    completions = serve([ask(n, max_new_tokens=1) for n in range(5)])
    assert [each.completion_tokens for each in completions] == [1] * 5


def test_same_seed_same_text_other_seed_other_text(serve: Serve) -> None:
    def texts(seed: int) -> list[str]:
        requests = [ask(n, temperature=1.0, seed=seed + n) for n in range(6)]
        found = by_id(serve(requests))
        return [found[request.request_id].text for request in requests]

    first = texts(0)
    assert texts(0) == first
    assert all(one != other for one, other in zip(first, texts(100), strict=True))


def test_same_prompt_other_seed_in_one_batch(serve: Serve) -> None:
    completions = serve([ask(1, temperature=1.0, seed=seed) for seed in range(6)])
    assert len({completion.text for completion in completions}) == 6


def test_sampled_text_does_not_depend_on_the_order(serve: Serve) -> None:
    requests = [
        ask(n, temperature=0.6, top_p=0.95, seed=n, prompt_tokens=5 + 9 * n) for n in range(9)
    ]
    texts = {key: value.text for key, value in by_id(serve(requests)).items()}
    again = {key: value.text for key, value in by_id(serve(requests[::-1])).items()}
    assert texts == again


def test_greedy_text_does_not_depend_on_the_order(
    serve: Serve, mixed: list[GenerationRequest]
) -> None:
    texts = {key: value.text for key, value in by_id(serve(mixed)).items()}
    again = {key: value.text for key, value in by_id(serve(mixed[::-1])).items()}
    assert texts == again


def test_greedy_and_sampled_requests_share_a_batch(serve: Serve) -> None:
    greedy = [ask(n, seed=n) for n in range(4)]
    sampled = [ask(n, temperature=1.0, seed=1000 + n) for n in range(4)]
    alone = by_id(serve(greedy))
    together = by_id(serve([*sampled, *greedy]))
    for cold, warm in zip(greedy, sampled, strict=True):
        assert together[cold.request_id].text == alone[cold.request_id].text
        assert together[warm.request_id].text != alone[cold.request_id].text


@pytest.mark.parametrize("sampling", [{"top_k": 1}, {"top_p": 1e-6}], ids=str)
def test_the_narrowest_sampling_is_greedy(serve: Serve, sampling: dict[str, float]) -> None:
    def texts(**how: Any) -> list[str]:
        return [each.text for each in serve([ask(n, **how) for n in range(3)])]

    assert sorted(texts(temperature=1.0, **sampling)) == sorted(texts())


def test_times_are_in_order(serve: Serve, mixed: list[GenerationRequest]) -> None:
    before = monotonic()
    completions = serve(mixed)
    after = monotonic()
    for each in completions:
        times = [before, each.queued_s, each.started_s, each.first_token_s, each.finished_s, after]
        assert all(known(one) <= known(other) for one, other in pairwise(times)), times


def test_what_is_told_of_prompt_and_tokens_fits_the_answer(
    serve: Serve, mixed: list[GenerationRequest]
) -> None:
    for each in serve(mixed):
        cached, gaps = each.cached_prompt_tokens, each.token_gaps
        assert cached is None or 0 <= cached <= known(each.prompt_tokens)
        assert gaps is None or sum(gaps.values()) == known(each.completion_tokens) - 1
        assert each.sent_s is None or known(each.queued_s) <= each.sent_s <= known(each.started_s)


def test_no_requests(serve: Serve) -> None:
    assert serve([]) == []


def test_a_request_that_does_not_fit_fails_alone(serve: Serve) -> None:
    fits = [ask(n) for n in range(3)]
    exact = ask(10, prompt_tokens=TINY_CONTEXT - 3, max_new_tokens=3)
    long = ask(11, prompt_tokens=TINY_CONTEXT - 3, max_new_tokens=4)
    endless = ask(12, prompt_tokens=TINY_CONTEXT + 40)
    found = by_id(serve([long, *fits, endless, exact]))
    for request in (long, endless):
        failed = found[request.request_id]
        assert (failed.finish_reason, failed.completion_tokens) == ("error", 0)
        assert f"context of {TINY_CONTEXT} tokens" in known(failed.error)
    expected = by_id(serve(fits))
    for request in fits:
        assert found[request.request_id].text == expected[request.request_id].text
    assert found[exact.request_id].finish_reason in {"stop", "length"}


def test_each_is_handed_over_as_it_ends(live: Engine) -> None:
    requests = [ask(n, max_new_tokens=8 + 40 * n, temperature=1.0, seed=n) for n in range(6)]

    def is_seen_before_the_last_ends() -> bool:
        seen_s: list[float] = []
        ended_s: list[float] = []
        for completion in live.generate(requests):
            seen_s.append(monotonic())
            ended_s.append(known(completion.finished_s))
        assert ended_s == sorted(ended_s)
        assert ended_s[0] < ended_s[-1]
        return seen_s[0] < ended_s[-1]

    # A busy machine may let this thread look too late, now and then; an engine that keeps all
    # back until the last one ended is never seen to do otherwise.
    assert any(is_seen_before_the_last_ends() for _ in range(20))


def test_giving_up_early_aborts_the_rest(live: Engine) -> None:
    short = ask(1, max_new_tokens=1)
    endless = [ask(n, max_new_tokens=450, top_k=5, temperature=1.0, seed=n) for n in range(40)]
    first = first_of(live, [short, *endless])
    assert known(first.completion_tokens) >= 1
    after = monotonic()
    (next_one,) = live.generate([short])
    # Had the others gone on, this one would have had to wait for a place in the batch.
    assert after <= known(next_one.queued_s)
    assert next_one.text == by_id(list(live.generate([short])))[short.request_id].text


def test_what_was_loaded_is_told(
    live: Engine, tiny: ResolvedModel, request: pytest.FixtureRequest
) -> None:
    list(live.generate([ask(1)]))
    info = live.info()
    assert (info.model_path, info.weights_sha256) == (tiny.path, tiny.sha256)
    # The first one is told to; the others take the GPU where there is one.
    is_on_cpu = request.node.callspec.params["live"] == "transformers"
    is_on_cpu |= hardware.cuda_devices() == 0
    assert (info.device, info.dtype) == ("cpu" if is_on_cpu else "cuda", "float32")
    assert info.device_count >= 1
    assert known(info.load_s) > 0
    # The embedding alone takes so much.
    assert known(info.peak_memory_bytes) > 151_665 * 64 * 4
    assert info.peak_memory_source


def test_what_it_runs_with_is_told(live: Engine) -> None:
    info = live.info()
    if info.name == "transformers":
        assert tuple(info.settings) == TRANSFORMERS_SETTINGS
        assert info.settings["attention"] == ATTENTION
        return
    assert tuple(info.settings) == VLLM_SETTINGS
    told = info.settings
    assert (told["max_model_len"], told["enforce_eager"]) == (TINY_CONTEXT, True)
    assert (told["quantization"], told["speculative_config"]) == ("none", "none")
    assert (told["tensor_parallel_size"], told["kv_cache_dtype"]) == (1, "auto")
    assert told["cudagraph_mode"] == "NONE"
    assert told["model_runner"] in {"V1", "V2"}
    assert (
        narrowed(int, told["kv_cache_blocks"]) * narrowed(int, told["block_size"]) >= TINY_CONTEXT
    )
    if info.name == "vllm":  # a server does not say all of it
        assert None not in told.values()
    if info.device == "cpu":  # what was set for it counts as what the user sets
        assert info.environment["VLLM_CPU_KVCACHE_SPACE"]
    assert RECORDED.issuperset(info.environment)


@pytest.mark.vllm
def test_a_death_keeps_what_was_yielded_before(tiny: ResolvedModel) -> None:
    """The engine's process is killed in the middle; memory and processes are gone afterwards."""
    import multiprocessing

    before = set(multiprocessing.active_children())
    requests = [ask(n, max_new_tokens=450, temperature=1.0, seed=n) for n in range(2000)]
    completions: list[Completion] = []
    with open_engine(vllm_config(max_num_seqs=4), tiny, TINY_CONTEXT) as engine:
        (process,) = set(multiprocessing.active_children()) - before

        def kill_after_the_first() -> None:
            for completion in engine.generate(requests):
                completions.append(completion)
                process.kill()

        with pytest.raises(GenerationError, match="vllm: "):
            kill_after_the_first()
    assert 1 <= len(completions) < len(requests)
    assert known(completions[0].completion_tokens) >= 1
    assert set(multiprocessing.active_children()) <= before


@pytest.mark.vllm
def test_a_servers_death_keeps_what_was_yielded_before(tiny: ResolvedModel, tmp_path: Path) -> None:
    """The engine behind it is killed in the middle; the whole group is gone afterwards."""
    import psutil

    codec = Codec.load(tiny)
    requests = [ask(n, max_new_tokens=450, temperature=1.0, seed=n) for n in range(2000)]
    completions: list[Completion] = []
    config = vllm_server_config(max_num_seqs=4)
    with build_engine(config, tiny, codec, monotonic, TINY_CONTEXT, tmp_path) as engine:
        assert isinstance(engine, VllmServerEngine)
        started = [psutil.Process(pid) for pid in engine.server.pids()]
        behind = max(started[0].children(), key=lambda child: child.memory_info().rss)

        def kill_after_the_first() -> None:
            for completion in engine.generate(requests):
                if not completions:
                    # what it counted is known as of the last look: one is taken before it dies
                    assert any((seen := engine.info().serving) and seen.steps for _ in range(100))
                    behind.kill()
                completions.append(completion)

        with pytest.raises(GenerationError, match=r"vllm's server .*\(log: .*vllm_server.log\)"):
            kill_after_the_first()
        assert known(known(engine.info().serving).steps) > 0
    assert 1 <= len(completions) < len(requests)
    assert known(completions[0].completion_tokens) >= 1
    deadline = monotonic() + 60  # to die, too, a process needs a CPU
    while list(filter(_runs, started)):
        assert monotonic() < deadline
        sleep(0.1)


@pytest.mark.vllm
def test_a_server_that_cannot_start_says_why(tiny: ResolvedModel, tmp_path: Path) -> None:
    config = vllm_server_config(max_num_seqs=8, max_num_batched_tokens=4)
    engine = build_engine(config, tiny, Codec.load(tiny), monotonic, TINY_CONTEXT, tmp_path)
    with pytest.raises(ConfigError) as caught, engine:
        pass
    message = str(caught.value)
    assert mentions(message, "engine=vllm_server: ", "status 1")
    assert "max_num_batched_tokens" in message
    assert "\n" not in message
    assert str(tmp_path / "vllm_server.log") in message


@pytest.mark.vllm
def test_what_a_server_counts_is_told(vllm_server_engine: Engine, openai_engine: Engine) -> None:
    requests = [ask(n, max_new_tokens=60, temperature=1.0, seed=n) for n in range(30)]
    before = openai_engine.info().serving
    made = sum(known(each.completion_tokens) for each in vllm_server_engine.generate(requests))
    after = openai_engine.info().serving
    steps = known(known(after).steps) - known(known(before).steps)
    assert 0 < steps < made  # more than one request was in a step
    assert known(after).preemptions == 0
    assert known(after).draft_tokens is None
    assert known(known(after).prefix_cache_queried_tokens) > known(
        known(before).prefix_cache_queried_tokens
    )
    # What its metrics tell of its cache is told of a server that was there before, too.
    ours, attached_to = vllm_server_engine.info().settings, openai_engine.info().settings
    for name in ("block_size", "kv_cache_blocks", "kv_cache_dtype"):
        assert attached_to[name] == ours[name] is not None


@pytest.mark.vllm
def test_the_servers_own_template_asks_the_same(
    vllm_server_engine: Engine, tiny: ResolvedModel
) -> None:
    """In chat mode the server renders; what it is asked and what it answers are the same."""
    codec = Codec.load(tiny)
    requests = []
    for number in range(8):
        reference = MathReference(answer="0")
        problem = Problem(problem_id=f"p/{number}", question=f"{number}?", reference=reference)
        prompt = codec.prompt(problem, "What is {question}", chat=True, force_think=False)
        requests.append(
            ask(number, max_new_tokens=40).model_copy(
                update={
                    "prompt_token_ids": prompt.token_ids,
                    "prompt_opened_think": prompt.opened_think,
                    "user_text": prompt.user_text,
                }
            )
        )
    with open_engine(attached(vllm_server_engine, "chat"), tiny, TINY_CONTEXT) as engine:
        chatted = by_id(list(engine.generate(requests)))
    for expected in vllm_server_engine.generate(requests):
        got = chatted[expected.request_id]
        assert got.text == expected.text
        assert got.prompt_tokens == expected.prompt_tokens
        assert got.completion_tokens == expected.completion_tokens
        assert got.finish_reason == expected.finish_reason


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import psutil
from harness.models import ResolvedModel
from tests.contract.conftest import TINY_CONTEXT, open_engine, vllm_config, vllm_server_config
model = ResolvedModel(name="tiny-qwen2", path=sys.argv[1], revision=None, sha256=None)
config = {"vllm": vllm_config, "vllm_server": vllm_server_config}[sys.argv[3]]()
with open_engine(config, model, TINY_CONTEXT):
    print(*(each.pid for each in psutil.Process().children(recursive=True)), flush=True)
    sys.stdin.read()
"""


@pytest.mark.vllm
@pytest.mark.parametrize("kind", ["vllm", "vllm_server"])
def test_no_process_outlives_a_harness_that_was_killed(tiny: ResolvedModel, kind: str) -> None:
    """Otherwise it holds its memory for ever, and the resumed run finds none."""
    import psutil

    vllm_config()
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, tiny.path, root, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as harness:
        started = [psutil.Process(int(pid)) for pid in known(harness.stdout).readline().split()]
        harness.kill()
    assert started
    deadline = monotonic() + 60
    while (alive := list(filter(_runs, started))) and monotonic() < deadline:
        sleep(0.1)
    for each in alive:
        each.kill()
    assert alive == []


def _runs(process: psutil.Process) -> bool:
    """Whether it has not ended; nobody may have noticed that it did."""
    import psutil

    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.vllm
def test_engines_agree(transformers_engine: Engine, vllm_engine: Engine) -> None:
    requests = [ask(n, prompt_tokens=5 + n, max_new_tokens=40) for n in range(40)]
    _assert_nearly_equal(transformers_engine, vllm_engine, requests, fraction=0.95)


def _assert_nearly_equal(
    one: Engine, other: Engine, requests: Sequence[GenerationRequest], fraction: float
) -> None:
    left, right = by_id(list(one.generate(requests))), by_id(list(other.generate(requests)))
    equal = [key for key, completion in left.items() if completion.text == right[key].text]
    assert len(equal) >= fraction * len(requests)
    for key in equal:
        assert left[key].completion_tokens == right[key].completion_tokens
        assert left[key].finish_reason == right[key].finish_reason


@pytest.fixture(scope="module")
def smollm2_requests(smollm2: ResolvedModel) -> list[GenerationRequest]:
    """Real prompts to a real model."""
    from harness.models.chat_tokenizer import Codec
    from harness.records import MathReference, Problem, Sampling

    codec = Codec.load(smollm2)
    requests = []
    for number in range(12):
        problem = Problem(
            problem_id=f"sum/{number}",
            question=f"What is {number + 3} times {2 * number + 5}? Explain each step.",
            reference=MathReference(answer="0"),
        )
        prompt = codec.prompt(problem, "{question}", chat=True, force_think=False)
        requests.append(
            GenerationRequest(
                request_id=f"{problem.problem_id}#0",
                problem_id=problem.problem_id,
                prompt_token_ids=prompt.token_ids,
                prompt_opened_think=prompt.opened_think,
                sampling=Sampling(temperature=0, top_p=1, top_k=None, max_new_tokens=32),
                seed=number,
            )
        )
    return requests


@pytest.fixture(scope="module")
def smollm2_transformers(smollm2: ResolvedModel) -> Iterator[Engine]:
    config = TransformersConfig(kind="transformers", device="cpu", dtype="float32")
    with open_engine(config, smollm2, 256) as engine:
        yield engine


@pytest.mark.model
def test_a_real_model_answers_as_generate_does(
    smollm2: ResolvedModel, smollm2_transformers: Engine, smollm2_requests: list[GenerationRequest]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from harness.models.chat_tokenizer import Codec, Times

    codec = Codec.load(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2.path, dtype="float32").eval()
    found = by_id(list(smollm2_transformers.generate(smollm2_requests)))
    for request in smollm2_requests[:6]:
        prompt = torch.tensor([request.prompt_token_ids])
        whole = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=request.sampling.max_new_tokens,
            do_sample=False,
            pad_token_id=codec.pad_token_id,
        )
        expected = codec.completion(request, whole[0, prompt.shape[1] :].tolist(), Times())
        assert found[request.request_id].text == expected.text
    assert any("=" in each.text or "times" in each.text for each in found.values())


@pytest.mark.model
@pytest.mark.vllm
def test_engines_agree_on_a_real_model(
    smollm2: ResolvedModel, smollm2_transformers: Engine, smollm2_requests: list[GenerationRequest]
) -> None:
    with open_engine(vllm_config(), smollm2, 256) as engine:
        _assert_nearly_equal(smollm2_transformers, engine, smollm2_requests, fraction=0.9)
        penalised = [
            each.model_copy(
                update={"sampling": each.sampling.model_copy(update={"repetition_penalty": 1.3})}
            )
            for each in smollm2_requests
        ]
        _assert_nearly_equal(smollm2_transformers, engine, penalised, fraction=0.9)
