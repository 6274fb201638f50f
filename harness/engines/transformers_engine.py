"""Hugging Face transformers: any small model, on a CPU or on one GPU.

Greedy text in float32 on a CPU hardly depends on the batch a request falls into, but sums in
another order still differ in their last bits, so a near-tie between two tokens can fall either
way; in bfloat16 and on a GPU it does so often. The numbers that decide a sampled token depend on
the request's seed alone.
"""

import logging
import os
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from harness.engines.base import Clock, EngineInputs, refuse_unfit, tokens_needed
from harness.engines.batch import Batch, Row
from harness.engines.config import BaseEngineConfig
from harness.engines.cpu_linear import pack
from harness.engines.kv_cache import ATTENTION, register_attention
from harness.engines.lora import check_peft, with_adapter
from harness.engines.recorded_environment import recorded
from harness.errors import ConfigError, GenerationError, UnavailableError
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.models.tensors import quiet, refuse_unlike
from harness.models.tokenizer_files import named_key
from harness.records import Completion, EngineInfo, GenerationRequest, Setting

log = logging.getLogger(__name__)


TRANSFORMERS_SETTINGS = (
    "attention",
    "float32_matmul_precision",
    "deterministic_algorithms",
    "threads",
    "cpu_capability",
    "cpu_matrix_units",
    "cpu_weights",
    "cuda",
)
"""Names of the recorded settings of torch: the vector instructions of its kernels, and those of its
matrix products (oneDNN takes the best that the processor has and ``ONEDNN_MAX_CPU_ISA`` allows)."""


READ_TOKENS = 1024
"""Prompt tokens that are read in one step, unless one prompt has more: enough to keep a matrix
product busy, while the first rows have their first token early."""

POSITION_TABLES = frozenset({"wpe", "embed_positions", "position_embeddings"})
"""The names of the position table in models with learned positions."""


class TransformersConfig(BaseEngineConfig):
    """Settings of the transformers engine."""

    kind: Literal["transformers"]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU where torch sees one."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 where the hardware multiplies it (AVX512-BF16, AMX, Ampere), else float16 on
    a GPU and float32 on a CPU."""
    batch_tokens: Annotated[int, Field(ge=1)] = 131_072
    """Bounds the cache: rows of a batch times the longest row's prompt and ``max_new_tokens``,
    padding included. A row that is longer alone is served alone."""
    max_batch_size: Annotated[int, Field(ge=1)] = 64
    """Rows of a batch. Halved, for the rest of the run, each time memory runs out."""
    attn_implementation: Literal["grouped", "sdpa", "eager"] = "grouped"
    """grouped: SDPA that reads each key-value head once for all its query heads, where
    transformers' sdpa repeats it for each."""

    def prepare_process(self) -> None:
        """Has the threads of a matrix product sleep while they wait.

        By spinning they take the CPU from scoring, and from each other where the machine is shared:
        asleep they lose little alone and win twofold in company. vLLM's processes lose by it: the
        one that waits for the next step spins all the more, and each step is slower by a tenth
        (``docs/performance.md``).
        """
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    def build(self, given: EngineInputs) -> "TransformersEngine":
        """Builds the engine in this process; it writes no log."""
        return TransformersEngine(self, given.model, given.codec, given.clock, given.max_model_len)

    def check_adapter(self) -> None:
        """Checks that peft, which applies adapters, is installed."""
        check_peft()

    @property
    def asks_for_cpu(self) -> bool:
        """Whether ``device`` is ``cpu``."""
        return self.device == "cpu"

    @property
    def asked_dtype(self) -> str:
        """The setting ``dtype``."""
        return self.dtype

    def requests_at_once(self, context_tokens: int, gpu_name: str, gpu_bytes: int | None) -> int:
        """The rows of a batch of full contexts."""
        del gpu_name, gpu_bytes
        return max(1, min(self.max_batch_size, self.batch_tokens // context_tokens))

    @property
    def batch_size(self) -> int:
        """The setting ``max_batch_size``."""
        return self.max_batch_size

    def with_batch_size(self, size: int) -> Self:
        """A copy with another ``max_batch_size``."""
        return self.model_copy(update={"max_batch_size": size})

    def batch_note(self, batch: int, contexts: int) -> str:
        """A note that the batch will be halved when memory runs out, which costs time."""
        return (
            f"a batch of {batch} full contexts does not fit, {contexts} do: it is halved when "
            f"memory runs out; engine.max_batch_size={contexts} spares that"
        )


class TransformersEngine:
    """Decodes batches whose rows come and go, longest prompts first."""

    def __init__(
        self,
        config: TransformersConfig,
        model: ResolvedModel,
        codec: Codec,
        clock: Clock,
        max_model_len: int,
    ) -> None:
        self._config = config
        self._source = model
        self._codec = codec
        self._clock = clock
        self._max_model_len = max_model_len
        self._limit = config.max_batch_size
        self._model: Any = None
        self._batch: Batch | None = None
        self._load_s: float | None = None
        self._is_packed = False

    def __enter__(self) -> Self:
        """Loads the model and warms it up."""
        # Before the clock starts: importing the libraries is no loading of the model.
        from transformers import AutoModelForCausalLM  # noqa: F401

        began = self._clock()
        device = self._device()
        self._model = self._load(device, self._dtype(device))
        self._warm_up()
        self._load_s = self._clock() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Frees the model's memory."""
        self._model = None
        _free_memory()

    def info(self) -> EngineInfo:
        """The loaded model, its device and its memory."""
        import torch
        import transformers

        is_cuda = self._model.device.type == "cuda"
        return EngineInfo(
            name="transformers",
            version=f"{transformers.__version__} (torch {torch.__version__})",
            device=self._model.device.type,
            device_name=torch.cuda.get_device_name() if is_cuda else hardware.cpu_name(),
            device_count=1 if is_cuda else len(hardware.usable_cores()),
            dtype=str(self._model.dtype).removeprefix("torch."),
            quantization=self._source.quantization,
            model_path=self._source.path,
            weights_revision=self._source.revision,
            weights_sha256=self._source.sha256,
            load_s=self._load_s,
            max_concurrency=self._places,
            peak_memory_bytes=(
                torch.cuda.max_memory_allocated() if is_cuda else hardware.peak_rss_bytes(["self"])
            ),
            peak_memory_source=(
                "torch.cuda.max_memory_allocated" if is_cuda else "VmHWM of the harness process"
            ),
            settings=_settings(self._model, self._is_packed),
            environment=recorded(os.environ),
        )

    @property
    def _places(self) -> int | None:
        """The most rows at once; None where ``batch_tokens`` limits them by their length."""
        is_decided_by_tokens = self._limit * self._max_model_len > self._config.batch_tokens
        return None if is_decided_by_tokens else self._limit

    def restart_counters(self) -> None:
        """Does nothing: this engine has no counters."""

    def tokens_under_way(self) -> int:
        """Output tokens of the rows in the batch."""
        rows = [] if self._batch is None else list(self._batch.rows)
        return sum(len(row.token_ids) for row in rows)

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields each completion as soon as it ends."""
        now = self._clock()
        # Longest first: whether memory suffices shows at once, and neighbours need little padding.
        # Samples of one prompt side by side: it is read once for those that follow each other.
        longest_first = sorted(
            requests, key=lambda each: (tokens_needed(each), each.prompt_token_ids), reverse=True
        )
        fitting, unfit = refuse_unfit(longest_first, self._max_model_len, self._codec.failed, now)
        waiting = deque(Row(request, now) for request in fitting)
        batch = self._batch = Batch(self._model, self._codec.pad_token_id)
        try:
            while waiting or batch.rows:
                yield from self._advance(batch, waiting)
        finally:
            batch.clear()
        yield from unfit

    def _advance(self, batch: Batch, waiting: deque[Row]) -> Iterator[Completion]:
        """Generates one token: for new rows that fit, else for every row."""
        newcomers = self._take(waiting, batch.rows)
        try:
            if newcomers:
                batch.admit(newcomers)
            else:
                batch.step()
            ended = [row for row in batch.rows if self._is_last(row)]
            now = self._clock()
            for row in newcomers or batch.rows:
                row.token_came(now)
            if ended:
                batch.drop(ended)
        except (RuntimeError, IndexError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise GenerationError(f"transformers: {_first_line(error)}") from error
            reason = _first_line(error)
        else:
            for row in ended:
                yield self._completion(row, now)
            return
        yield from self._retreat(batch, newcomers, waiting, reason)

    def _completion(self, row: Row, now: float) -> Completion:
        if row.error is not None:
            return self._codec.failed(row.request, row.error, row.times(now))
        completion = self._codec.completion(row.request, row.token_ids, row.times(now))
        measured = {
            "cached_prompt_tokens": row.cached_prompt_tokens,
            "token_gaps": dict(row.gaps.counts),
        }
        return completion.model_copy(update=measured)

    def _take(self, waiting: deque[Row], rows: Sequence[Row]) -> list[Row]:
        """Takes the rows that fit into the batch, at least one when it is empty."""
        taken: list[Row] = []
        prompts: set[tuple[int, ...]] = set()
        longest = max((tokens_needed(row.request) for row in rows), default=0)
        while waiting and len(rows) + len(taken) < self._limit:
            longest = max(longest, tokens_needed(waiting[0].request))
            count = len(rows) + len(taken) + 1
            if count > 1 and count * longest > self._config.batch_tokens:
                break
            ids = waiting[0].known_ids
            if taken and ids not in prompts and sum(map(len, prompts)) + len(ids) > READ_TOKENS:
                break
            prompts.add(ids)
            taken.append(waiting.popleft())
        now = self._clock()
        for row in taken:
            row.started_s = row.started_s or now
        return taken

    def _retreat(
        self, batch: Batch, newcomers: Sequence[Row], waiting: deque[Row], reason: str
    ) -> Iterator[Completion]:
        """Halves the batch after memory ran out; the removed rows continue later."""
        rows = batch.clear()
        rows += [row for row in newcomers if row not in rows]
        _free_memory()
        now = self._clock()
        going = [row for row in rows if not self._has_ended(row)]
        for row in rows:
            if row not in going:
                yield self._completion(row, now)
        if len(rows) == 1 and going:
            yield self._codec.failed(
                rows[0].request, f"out of memory: {reason}", rows[0].times(now)
            )
            return
        self._limit = max(1, len(rows) // 2)
        log.warning(
            "out of memory with %d requests at once; continuing with %d", len(rows), self._limit
        )
        waiting.extendleft(reversed(going))

    def _has_ended(self, row: Row) -> bool:
        return (bool(row.token_ids) or row.error is not None) and self._is_last(row)

    def _is_last(self, row: Row) -> bool:
        """Whether the newest token ends the row."""
        if row.ended(self._codec.stop_token_ids):
            return True
        stop, before = row.request.sampling.stop, len(row.token_ids) - 1
        return self._codec.tokens_until(row.token_ids, stop, before) is not None

    def _device(self) -> str:
        import torch

        if self._config.device == "cuda" and not torch.cuda.is_available():
            raise UnavailableError("engine.device=cuda: torch sees no CUDA device; use cpu or auto")
        if self._config.device != "auto":
            return self._config.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    def _dtype(self, device: str) -> str:
        import torch

        if self._config.dtype != "auto":
            return self._config.dtype
        if device == "cuda":
            fits = torch.cuda.is_bf16_supported(including_emulation=False)
            return "bfloat16" if fits else "float16"
        return "bfloat16" if hardware.cpu_has_bfloat16() else "float32"

    def _load(self, device: str, dtype: str) -> Any:
        from transformers import AutoModelForCausalLM

        register_attention()
        attention = self._config.attn_implementation
        try:
            with quiet():
                model, found = AutoModelForCausalLM.from_pretrained(
                    self._source.path,
                    dtype=dtype,
                    attn_implementation=ATTENTION if attention == "grouped" else attention,
                    use_safetensors=True,
                    output_loading_info=True,
                    trust_remote_code=self._source.trust_remote_code,
                )
            refuse_unlike(found, self._source)
            if self._source.adapter is not None:
                model = with_adapter(model, self._source.adapter)
            model.to(device)
            self._is_packed = device == "cpu" and pack(model)
        except (OSError, ValueError, ImportError, RuntimeError, MemoryError) as error:
            raise UnavailableError(
                f"model={self._source.name}: cannot load it: {named_key(_first_line(error), error)}"
            ) from error
        if getattr(model, "_is_stateful", False):
            raise UnavailableError(
                f"model={self._source.name}: this engine does not support its recurrent state; "
                "use engine=vllm"
            )
        _check_positions(model, self._max_model_len)
        return model.eval()

    def _warm_up(self) -> None:
        from harness.records import RequestId, Sampling

        batch = Batch(self._model, self._codec.pad_token_id)
        request = GenerationRequest(
            request_id=RequestId("warm-up/tokens#0"),
            problem_id="warm-up/tokens",
            prompt_token_ids=(self._codec.pad_token_id,) * 8,
            prompt_opened_think=False,
            sampling=Sampling(temperature=1, top_p=0.9, top_k=None, max_new_tokens=3),
            seed=0,
        )
        row = Row(request, 0.0)
        batch.admit([row])
        if row.error is None:  # else it has no token to go on from; the requests will say why
            batch.step()


def _check_positions(model: Any, max_model_len: int) -> None:
    """Checks that a table of learned positions is long enough for every request.

    Raises:
        ConfigError: It has fewer rows than a request may need.
    """
    for name, module in model.named_modules():
        if name.rpartition(".")[2] not in POSITION_TABLES or not hasattr(module, "num_embeddings"):
            continue
        rows = module.num_embeddings - getattr(module, "offset", 0)  # OPT's has two more
        if max_model_len > rows:
            raise ConfigError(
                f"protocol.max_prompt_tokens + protocol.max_new_tokens = {max_model_len} tokens, "
                f"but the model has learned {rows} positions ({name}); use fewer"
            )


def _settings(model: Any, is_packed: bool) -> dict[str, Setting]:
    """The settings that torch computes with; their names are in ``TRANSFORMERS_SETTINGS``."""
    import torch

    is_cuda = model.device.type == "cuda"
    values: tuple[Setting, ...] = (
        model.config._attn_implementation,
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
        None if is_cuda else torch.get_num_threads(),
        None if is_cuda else torch.backends.cpu.get_cpu_capability(),
        None if is_cuda else hardware.cpu_matrix_units(),
        None if is_cuda else "packed" if is_packed else "plain",
        torch.version.cuda if is_cuda else None,
    )
    return dict(zip(TRANSFORMERS_SETTINGS, values, strict=True))


OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "not enough memory",
    "could not create a memory",  # oneDNN's, as is the next, which gives no reason
    "could not create a primitive",
)
"""Words of the errors of torch that mean it."""


def _is_out_of_memory(error: BaseException) -> bool:
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in OUT_OF_MEMORY)


def _free_memory() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
