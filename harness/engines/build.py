"""Chooses and builds the engine that a configuration names.

Importing this loads neither torch nor vllm: the choice uses device nodes and package metadata.
"""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from harness.engines.base import Clock, Engine, EngineInputs
from harness.engines.config import BaseEngineConfig
from harness.engines.openai_engine import OpenaiConfig
from harness.engines.replay_engine import ReplayConfig
from harness.engines.transformers_engine import TransformersConfig
from harness.engines.vllm_engine import VllmConfig
from harness.engines.vllm_server_engine import VllmServerConfig
from harness.errors import ConfigError
from harness.io.extensions import ENGINES, added, declared, load, origin
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec

__all__ = [
    "AutoConfig",
    "BaseEngineConfig",
    "EngineConfig",
    "build_engine",
]


BFLOAT16_GAIN = "2.6 to 4 times"
FLOAT32_GAIN = "1.4 times"
"""The tokens/s of vLLM on a CPU as a multiple of those of transformers (docs/performance.md)."""


class AutoConfig(BaseEngineConfig):
    """vLLM if CUDA and vllm are available, else transformers."""

    kind: Literal["auto"]

    is_open: ClassVar[bool] = True

    def resolved(self) -> tuple[BaseEngineConfig, str]:
        """As the GPUs and packages of this machine decide."""
        gpus = hardware.cuda_devices()
        if gpus == 0:
            reason = "engine=auto: transformers, because no NVIDIA GPU is visible"
            if find_spec("vllm") is not None:
                gain = BFLOAT16_GAIN if hardware.cpu_has_bfloat16() else FLOAT32_GAIN
                reason += (
                    f"; engine=vllm uses the installed vllm on this CPU: {gain} the tokens/s "
                    "(docs/performance.md), after some minutes of compiling"
                )
            return self.for_device(is_gpu=False), reason
        if find_spec("vllm") is None:
            return self.for_device(is_gpu=False), (
                f"engine=auto: transformers on {gpus} visible NVIDIA GPU(s), because vllm is not "
                "installed; pip install 'gegenprobe[vllm]' makes it many times faster"
            )
        return self.for_device(is_gpu=True), (
            f"engine=auto: vllm, because it is installed and {gpus} NVIDIA GPU(s) are visible"
        )

    def for_device(self, *, is_gpu: bool) -> BaseEngineConfig:
        """The engine for a machine with or without a GPU: vLLM or transformers."""
        return VllmConfig(kind="vllm") if is_gpu else TransformersConfig(kind="transformers")

    def build(self, given: EngineInputs) -> Engine:
        """Builds the engine that ``resolved`` chooses."""
        return self.resolved()[0].build(given)


_BuiltIn = (
    TransformersConfig | VllmConfig | VllmServerConfig | OpenaiConfig | ReplayConfig | AutoConfig
)


def _or_of_another_package(value: Any, built_in: ValidatorFunctionWrapHandler) -> Any:
    """Validates a configuration by its ``kind``, where that is another package's."""
    if isinstance(value, BaseEngineConfig):
        return value if type(value) not in get_args(_BuiltIn) else built_in(value)
    kind = value.get("kind") if isinstance(value, Mapping) else None
    own = _of_another_package(kind) if isinstance(kind, str) else None
    return built_in(value) if own is None else own.validate_python(value)


_BUILT_IN_KINDS = frozenset(
    kind for each in get_args(_BuiltIn) for kind in get_args(each.model_fields["kind"].annotation)
)


def added_engines() -> tuple[str, ...]:
    """The engines that packages add, sorted; imports none of them.

    Raises:
        ConfigError: One has the name of a built-in engine, or of another package's.
    """
    return tuple(sorted(added(ENGINES, _BUILT_IN_KINDS)))


def is_built_in(name: str) -> bool:
    """Whether the harness has an engine of this name itself."""
    return name in _BUILT_IN_KINDS


def engine_class(name: str) -> type[BaseEngineConfig]:
    """The configuration of an engine that a package adds.

    Raises:
        ConfigError: There is none, or it cannot be imported.
    """
    found = load(ENGINES, name, BaseEngineConfig)  # type: ignore[type-abstract]
    if found is None:
        raise ConfigError(f"engine={name}: no installed package adds it")
    return found


@cache
def _of_another_package(kind: str) -> TypeAdapter[Any] | None:
    if kind in _BUILT_IN_KINDS or kind not in declared(ENGINES):
        return None
    found = engine_class(kind)
    # A union of two, so that a mistake's place begins with the kind, as it does for the others.
    both: Any = Annotated[found | AutoConfig, Field(discriminator="kind")]
    return TypeAdapter(both)


if TYPE_CHECKING:
    EngineConfig = BaseEngineConfig
else:
    EngineConfig = Annotated[
        _BuiltIn,
        Field(discriminator="kind"),
        WrapValidator(_or_of_another_package),
        SerializeAsAny(),
    ]


def build_engine(
    config: BaseEngineConfig,
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
    return config.build(EngineInputs(model, codec, clock, max_model_len, log_folder))


def engine_origin(config: BaseEngineConfig) -> str | None:
    """``toy-engine 1.0``: the package that adds this engine; None for a built-in one."""
    return None if type(config) in get_args(_BuiltIn) else origin(ENGINES, config.kind)
