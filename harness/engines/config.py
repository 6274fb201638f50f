"""The interface of an engine's configuration.

The rest of the harness uses these methods and never the class of a configuration, so a further
engine needs no change elsewhere. The answers here fit an engine that loads the weights on this
machine and has no settings for them; an engine overrides those that are different.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

from harness.engines.base import Engine, EngineInputs
from harness.machine import hardware
from harness.models import ModelShape
from harness.models.memory import (
    BYTES_PER_VALUE,
    HALF,
    kv_bytes_per_token,
    unquantised_bytes,
)
from harness.records import Record


class Draft(NamedTuple):
    """A model that proposes tokens: a folder, or a repository of the hub."""

    name: str
    revision: str | None
    """A commit, tag or branch; None: the newest."""

    def __str__(self) -> str:
        """``owner/name`` or ``owner/name@revision``."""
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


class Speed(NamedTuple):
    """Time of an engine besides memory traffic and arithmetic, for the expected duration."""

    step_s: float
    """Seconds of each decoding step on a GPU, whatever its size."""
    sequence_s: float
    """Seconds of each decoding step on a GPU, per sequence in it."""
    cpu_flops_fraction: float
    """Share of the arithmetic throughput of numpy on this CPU."""
    start_s: float
    """Seconds to start, besides reading the weights."""


# A step in Python, kernel by kernel: an assumption. The fraction was set by this project's two
# baselines of results/baselines, made on two cores: transformers works row by row on small
# products.
PYTHON_SPEED = Speed(step_s=25e-3, sequence_s=0.0, cpu_flops_fraction=0.25, start_s=5.0)


class BaseEngineConfig(Record):
    """The settings of an engine and what follows from them."""

    kind: str

    is_local: ClassVar[bool] = True
    """Whether the engine loads the weights and computes on this machine."""
    is_open: ClassVar[bool] = False
    """Whether the choice of the engine depends on the machine; see ``resolved``."""

    # --- making it ------------------------------------------------------------------------------

    def resolved(self) -> "tuple[BaseEngineConfig, str]":
        """The engine to use on this machine, and one line that says which and why.

        Raises:
            ConfigError: A setting is wrong.
            UnavailableError: It cannot run here.
        """
        return self, f"engine={self.kind}, as asked"

    def for_device(self, *, is_gpu: bool) -> "BaseEngineConfig":
        """The engine that would be chosen on another machine, with or without a GPU."""
        del is_gpu
        return self

    def prepare_process(self) -> None:
        """Sets what the engine's libraries read when they are loaded; call it before that."""

    @abstractmethod
    def build(self, given: EngineInputs) -> Engine:
        """Builds the engine; entering it loads the model."""

    # --- what it answers with -------------------------------------------------------------------

    @property
    def recording(self) -> str | None:
        """The run whose answers it repeats; None for an engine that generates."""
        return None

    def with_recording(self, folder: str) -> Self:
        """A copy with the run's folder in place of its name."""
        raise TypeError(f"engine={self.kind} repeats no recording: {folder}")

    @property
    def renders_prompts(self) -> bool:
        """Whether the engine applies its own chat template and takes no token ids."""
        return False

    @property
    def needs_tokenizer(self) -> bool:
        """Whether the model's tokenizer must be on this machine."""
        return not self.renders_prompts

    @property
    def omitted(self) -> tuple[str, ...]:
        """Request fields that are not sent."""
        return ()

    @property
    def sampling_omitted(self) -> tuple[str, ...]:
        """The omitted fields that can change an answer, sorted."""
        return ()

    @property
    def native_args(self) -> Mapping[str, Any]:
        """Arguments passed to the engine's own software under that software's names."""
        return {}

    @property
    def unlike_nightly(self) -> frozenset[str]:
        """Settings that may differ between two nights that are compared."""
        return frozenset({"kind"})

    # --- the model's files ----------------------------------------------------------------------

    def check_adapter(self) -> None:
        """Refuses to apply a LoRA adapter where that cannot work.

        Raises:
            UnavailableError: What it needs is not installed.
        """

    @property
    def reads_every_weight_file(self) -> bool:
        """Whether all weight files of a folder are read, also those that its index omits."""
        return False

    @property
    def context_advice(self) -> str:
        """A phrase that says what else allows a context above the model's own; may be empty."""
        return ""

    def draft(self) -> Draft | None:
        """The model that proposes tokens; None where none does.

        Raises:
            ConfigError: It is neither a folder nor a name that the hub could have.
        """
        return None

    def check_draft(self) -> None:
        """Refuses a model that proposes tokens and could not be loaded, before any download.

        Raises:
            ConfigError: It is neither a folder nor a name that the hub could have.
            UnavailableError: Names it and what would be right.
        """

    @property
    def speculation(self) -> Mapping[str, Any] | None:
        """Settings of speculative decoding, in vLLM's words; None without it."""
        return None

    # --- devices --------------------------------------------------------------------------------

    @property
    def asks_for_cpu(self) -> bool:
        """Whether the settings ask for the CPU even where there is a GPU."""
        return False

    @property
    def replica_size(self) -> int:
        """GPUs over which one copy of the model is spread."""
        return 1

    @property
    def world_size(self) -> int:
        """GPUs of all copies together."""
        return self.replica_size

    def check_devices(self, there: int) -> None:
        """Compares the GPUs that the settings ask for with those that this process may use.

        Raises:
            UnavailableError: There are too few; names the settings.
        """

    @property
    def speed(self) -> Speed:
        """The engine's overheads, for the expected duration."""
        return PYTHON_SPEED

    # --- how many at once -----------------------------------------------------------------------

    def requests_at_once(self, context_tokens: int, gpu_name: str, gpu_bytes: int | None) -> int:
        """Requests that one copy of the model serves at once, if their answers are short.

        Args:
            context_tokens: Of one request, prompt and output.
            gpu_name: Of one GPU.
            gpu_bytes: Of one GPU; None: on a CPU.

        Raises:
            ConfigError: A setting is no whole number from 1.
        """
        del context_tokens, gpu_name, gpu_bytes
        return 1

    @property
    def batch_size(self) -> int | None:
        """The batch size that the user has set; None: left to the engine."""
        return None

    @property
    def sent_at_once(self) -> int | None:
        """Requests that the harness has under way at once; None: all."""
        return None

    def with_batch_size(self, size: int) -> Self | None:
        """A copy with another batch size; None where the harness does not set it."""
        del size
        return None

    def batch_note(self, batch: int, contexts: int) -> str | None:
        """A note for a plan whose batch has memory for only ``contexts`` full contexts."""
        del batch, contexts
        return None

    # --- memory ---------------------------------------------------------------------------------

    @property
    def asked_dtype(self) -> str:
        """The data type of the computation, ``auto`` where it is left open."""
        return "auto"

    @property
    def quantization(self) -> str | None:
        """What the weights are quantised to while they are loaded; None: nothing."""
        return None

    @property
    def cache_dtype(self) -> str:
        """Data type of keys and values; ``auto`` for that of the computation."""
        return "auto"

    def value_bytes(self, *, on_cpu: bool) -> int:
        """Bytes of a value that is not quantised."""
        dtype = self.asked_dtype
        is_open = dtype == "auto" and self.quantization is None
        if on_cpu and is_open and not hardware.cpu_has_bfloat16():
            dtype = "float32"  # as the engines choose it there
        return BYTES_PER_VALUE.get(dtype, HALF)

    def weights_bytes(self, parameters: int, *, on_cpu: bool) -> int | None:
        """Bytes of all weights; None where unknown, or where they are not loaded here."""
        if not self.is_local:
            return None
        return unquantised_bytes(parameters, self.value_bytes(on_cpu=on_cpu))

    def cache_bytes_per_token(self, shape: ModelShape, *, on_cpu: bool) -> int:
        """Bytes of the keys and values of one token."""
        return kv_bytes_per_token(shape, self.value_bytes(on_cpu=on_cpu))

    def overhead_bytes(self, shape: ModelShape, gpu_name: str, gpu_bytes: int) -> int:
        """Bytes that the engine takes, beside weights, keys and values, on the GPUs of one copy.

        Args:
            shape: The model's.
            gpu_name: Of one GPU.
            gpu_bytes: Of one GPU.
        """
        del shape, gpu_name, gpu_bytes
        return 0

    @property
    def gpu_fraction(self) -> float | None:
        """The share of a GPU that is reserved as a whole; None: only what is needed is taken.

        Raises:
            ConfigError: It is no share.
        """
        return None

    @property
    def cpu_cache_bytes(self) -> int | None:
        """The limit of keys and values on a CPU; None: all that is free."""
        return None

    def cache_advice(self, what: str, one_bytes: int, left_bytes: int, *, on_cpu: bool) -> str:
        """The error message for a cache that is too small for one context.

        Args:
            what: One context and its size, for people.
            one_bytes: Of that context.
            left_bytes: For keys and values beside weights and activations; below 0: nothing.
            on_cpu: On the CPU.
        """
        del one_bytes, on_cpu
        return f"engine={self.kind}: {what}, {max(0, left_bytes) / 1e9:.1f} GB are left for them"
