"""Which engine a configuration means, and how it comes to be.

Importing this loads neither torch nor vllm: deciding takes device nodes and package metadata.
"""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, assert_never

from pydantic import Field

from harness.engines.base import Clock, Engine
from harness.engines.openai_engine import OpenaiConfig, OpenaiEngine
from harness.engines.replay_engine import ReplayConfig, ReplayEngine
from harness.engines.transformers_engine import TransformersConfig, TransformersEngine
from harness.engines.vllm_args import VllmKnobs, check_args
from harness.engines.vllm_engine import VllmConfig, VllmEngine
from harness.engines.vllm_server_engine import VllmServerConfig, VllmServerEngine
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import Record

__all__ = [
    "AutoConfig",
    "EngineConfig",
    "OpenaiConfig",
    "ReplayConfig",
    "TransformersConfig",
    "VllmConfig",
    "VllmKnobs",
    "VllmServerConfig",
    "build_engine",
    "prepare_process",
    "resolve_auto",
]


class AutoConfig(Record):
    """vLLM where CUDA and vllm are there, else transformers."""

    kind: Literal["auto"]


EngineConfig = Annotated[
    TransformersConfig | VllmConfig | VllmServerConfig | OpenaiConfig | ReplayConfig | AutoConfig,
    Field(discriminator="kind"),
]


def resolve_auto(config: EngineConfig) -> tuple[EngineConfig, str]:
    """The engine that is meant, and one line that says which and why.

    Raises:
        ConfigError: vLLM has no such argument.
        UnavailableError: vLLM was asked for and is not installed.
    """
    if isinstance(config, VllmKnobs):
        check_args(config.args)
    if not isinstance(config, AutoConfig):
        return config, f"engine={config.kind}, as asked"
    gpus = hardware.cuda_devices()
    if gpus == 0:
        return TransformersConfig(kind="transformers"), (
            "engine=auto: transformers, because no NVIDIA GPU is visible"
        )
    if find_spec("vllm") is None:
        return TransformersConfig(kind="transformers"), (
            f"engine=auto: transformers on {gpus} visible NVIDIA GPU(s), because vllm is not "
            "installed; pip install 'gegenprobe[vllm]' makes it many times faster"
        )
    return VllmConfig(kind="vllm"), (
        f"engine=auto: vllm, because it is installed and {gpus} NVIDIA GPU(s) are visible"
    )


def prepare_process(config: EngineConfig) -> None:
    """Sets what an engine's libraries read as they are loaded; to be called before they are.

    Threads of a matrix product that wait by spinning take the CPU from scoring, and from each other
    where the machine is shared: asleep they lose little alone and win twofold in company. That is
    for transformers. vLLM's processes lose by it: the one that waits for the next step spins all
    the more, and each step is slower by a tenth (``docs/performance.md``).
    """
    if isinstance(config, TransformersConfig):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def build_engine(
    config: EngineConfig,
    model: ResolvedModel,
    codec: Codec | None,
    clock: Clock,
    max_model_len: int,
    log_folder: Path | None = None,
) -> Engine:
    """Makes an engine; entering it loads the model.

    Args:
        config: Which engine, with its knobs.
        model: On this disk; of a replay what the recording says.
        codec: The model's tokenizer; a replay needs none.
        clock: The run's.
        max_model_len: Tokens of prompt and output together that a request may need.
        log_folder: Keeps the log of an engine that writes one.
    """
    config, _ = resolve_auto(config)
    if isinstance(config, ReplayConfig):
        return ReplayEngine(config, model, clock)
    if codec is None:
        raise ValueError(f"engine={config.kind} needs the model's codec")
    match config:
        case TransformersConfig():
            return TransformersEngine(config, model, codec, clock, max_model_len)
        case VllmConfig():
            return VllmEngine(config, model, codec, clock, max_model_len)
        case VllmServerConfig():
            return VllmServerEngine(config, model, codec, clock, max_model_len, log_folder)
        case OpenaiConfig():
            return OpenaiEngine(config, model, codec, clock, max_model_len)
        case AutoConfig():
            raise AssertionError("resolve_auto leaves no auto")
        case _:
            assert_never(config)
