"""vLLM's server, started by the harness: the same vLLM behind HTTP in separate processes.

This is how vLLM is deployed, so the measurements are what its users get. The harness sends and
receives token ids, so the answers are those of the in-process engine.

It is what is deployed, so what is measured through it is what its users get. The harness feeds it
token ids and is sent token ids, so an answer is the in-process engine's.
"""

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from harness.engines import lora
from harness.engines.base import Clock, EngineInputs, refuse_unfit
from harness.engines.endpoint import Endpoint, Link, Target, bearer, open_client
from harness.engines.event_loop import answer_all, event_loop, wait_for
from harness.engines.open_files import room_for
from harness.engines.pace import LONGEST_BACK_OFF_S, Pace
from harness.engines.recorded_environment import recorded
from harness.engines.server_process import ServerProcess, flags, own_log, serving
from harness.engines.serving_metrics import Meter
from harness.engines.vllm_args import check_args, world_size
from harness.engines.vllm_config import VllmKnobs
from harness.engines.vllm_dtype import chosen_dtype
from harness.engines.vllm_environment import LOGGING_VARIABLES, missing_settings
from harness.engines.vllm_settings import BEGINNING, of_server
from harness.machine import gpus, hardware
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, EngineInfo, GenerationRequest, Setting

SERVED_AS = "model"
LOG_NAME = "vllm_server.log"
# vLLM's largest default batch, on its largest GPUs.
MOST_SEQUENCES = 1024
# A connection that the server closed while it was idle is no reason to fail a request.
RECONNECTS = 2


class VllmServerConfig(VllmKnobs):
    """Settings of the vLLM server."""

    kind: Literal["vllm_server"]
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Concurrent requests; None: ``args.max_num_seqs``, else the highest of vLLM's defaults, so
    that requests wait in vLLM and not here."""
    start_limit_s: Annotated[float, Field(gt=0)] = 1800.0
    """Seconds within which the server must be ready."""

    is_server: ClassVar[bool] = True

    def build(self, given: EngineInputs) -> "VllmServerEngine":
        """Builds the engine; the server's log goes to the run's folder."""
        return VllmServerEngine(
            self, given.model, given.codec, given.clock, given.max_model_len, given.log_folder
        )

    @property
    def sent_at_once(self) -> int | None:
        """The setting ``concurrency``."""
        return self.concurrency

    def with_batch_size(self, size: int) -> Self | None:
        """None: the batch size is vLLM's decision."""
        changed = super().with_batch_size(size)
        return changed and changed.model_copy(update={"concurrency": None})


class Loaded(NamedTuple):
    """What the server loaded, as its log says."""

    version: str
    dtype: str
    quantization: str | None
    device: str


class VllmServerEngine:
    """Starts the server, keeps a number of requests under way, and yields each as it ends."""

    def __init__(
        self,
        config: VllmServerConfig,
        model: ResolvedModel,
        codec: Codec,
        clock: Clock,
        max_model_len: int,
        log_folder: Path | None = None,
    ) -> None:
        """Prepares the engine; ``__enter__`` starts the server.

        Args:
            config: Its knobs.
            model: On this disk.
            codec: The model's.
            clock: The run's.
            max_model_len: Tokens of prompt and output together that a request may need.
            log_folder: Keeps the server's log; None: the system's folder for such files.
        """
        check_args(config.args)
        self._config = config
        self._source = model
        self._codec = codec
        self._clock = clock
        self._max_model_len = int(config.args.get("max_model_len") or max_model_len)
        self._log = (
            Path(tempfile.gettempdir()) / f"gegenprobe-{os.getpid()}-{LOG_NAME}"
            if log_folder is None
            else log_folder / LOG_NAME
        )
        self._resources = contextlib.ExitStack()
        self.server: ServerProcess
        """The server while it runs: others can attach to it."""
        self._endpoint: Endpoint
        self._meter: Meter
        self._loaded: Loaded
        self._settings: dict[str, Setting] = {}
        self._environment: dict[str, str] = {}
        self._at_once = 0
        self._load_s: float | None = None
        self._peak_bytes: int | None = None

    def __enter__(self) -> Self:
        """Starts the server, which loads the model."""
        began = self._clock()
        environment = {
            **os.environ,
            **missing_settings(self._config.args),
            # It goes to a file, and says what was loaded.
            "VLLM_LOGGING_LEVEL": "INFO",
        }
        # Another format of its log could not be read.
        for name in LOGGING_VARIABLES:
            environment.pop(name, None)
        at_once = room_for(self._wanted_at_once)
        with contextlib.ExitStack() as resources:
            self.server = resources.enter_context(
                serving(self._arguments(), environment, self._log, self._config.start_limit_s)
            )
            self._loop = resources.enter_context(event_loop("vllm_server"))
            link = Link(
                base_url=f"{self.server.root}/v1",
                headers=bearer(self.server.api_key),
                silence_limit_s=None,  # a dead server closes its connections
                is_own=True,
            )
            client = open_client(link, at_once)
            resources.callback(lambda: wait_for(client.aclose(), self._loop))
            self._pace = Pace(
                self._clock, max_retries=RECONNECTS, longest_wait_s=LONGEST_BACK_OFF_S
            )
            self._endpoint = Endpoint(
                client,
                Target(mode="tokens", model=self._served_as, software="vllm"),
                self._codec,
                self._pace,
                self._clock,
                self.server.why_gone,
            )
            written = own_log(self._log)
            self._loaded = _loaded(written)
            self._settings = of_server(written, self.server.get("/metrics"), self._config.args)
            self._environment = recorded(environment)
            self._meter = Meter(partial(self.server.get, "/metrics"))
            self._resources = resources.pop_all()
        self._at_once = at_once
        self._load_s = self._clock() - began
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the server's whole process group, which frees its memory."""
        self._resources.close()

    def info(self) -> EngineInfo:
        """The loaded model, its devices and settings."""
        is_cpu = self._loaded.device == "cpu"
        names = [] if is_cpu else [gpu.name for gpu in gpus.visible()]
        peak, source = self._peak_memory(is_cpu=is_cpu)
        return EngineInfo(
            name="vllm_server",
            version=self._loaded.version,
            device=self._loaded.device,
            device_name=hardware.cpu_name() if is_cpu else next(iter(names), "unknown"),
            device_count=len(hardware.usable_cores()) if is_cpu else world_size(self._config.args),
            dtype=self._loaded.dtype,
            quantization=self._loaded.quantization or self._source.quantization,
            model_path=self._source.path,
            weights_revision=self._source.revision,
            weights_sha256=self._source.sha256,
            load_s=self._load_s,
            max_concurrency=self._places,
            peak_memory_bytes=peak,
            peak_memory_source=source,
            serving=self._meter.stats(),
            settings=self._settings,
            environment=self._environment,
        )

    def restart_counters(self) -> None:
        """Resets the counters."""
        self._meter = Meter(partial(self.server.get, "/metrics"))

    def expect_refusals(self) -> None:
        """Marks a resumed run: it has answers, so a first refusal concerns its request alone."""
        self._endpoint.expect_refusals()

    def tokens_under_way(self) -> int | None:
        """Tokens of unfinished answers; None where the server sends no token ids."""
        return self._endpoint.tokens_under_way()

    def stop(self) -> None:
        """Sends no further request; ``generate`` ends with those under way."""
        self._loop.call_soon_threadsafe(self._pace.stop)

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Completion]:
        """Yields each completion as soon as it ends."""
        now = self._clock()
        fitting, unfit = refuse_unfit(requests, self._max_model_len, self._codec.failed, now)
        answer = partial(self._endpoint.answer, queued_s=now)
        with self._meter.watching():
            yield from answer_all(self._loop, fitting, answer, self._at_once, self._pace)
        yield from unfit

    @property
    def _served_as(self) -> str:
        return SERVED_AS if self._source.adapter is None else lora.NAME

    @property
    def _wanted_at_once(self) -> int:
        return self._config.concurrency or self._config.args.get("max_num_seqs") or MOST_SEQUENCES

    @property
    def _places(self) -> int | None:
        """Requests that are computed at once; None where vLLM chose the number."""
        sequences = self._config.args.get("max_num_seqs")
        if sequences is None:
            return None
        replicas = self._config.args.get("data_parallel_size") or 1
        return min(self._at_once, int(sequences) * int(replicas))

    def _arguments(self) -> list[str]:
        adapter = self._source.adapter
        given: dict[str, Any] = {
            "model": self._source.path,
            "dtype": chosen_dtype(self._config, self._source),
            "trust_remote_code": self._source.trust_remote_code or None,
            "generation_config": "vllm",  # reads no generation_config.json
            "max_model_len": self._max_model_len,
            "load_format": "safetensors",
            "enable_per_request_metrics": True,
            "enable_prompt_tokens_details": True,
            "disable_uvicorn_access_log": True,
            **lora.vllm_arguments(adapter),
            **self._config.args,
            "served_model_name": SERVED_AS,
        }
        if adapter is not None:
            given["lora_modules"] = json.dumps({"name": lora.NAME, "path": adapter.path})
        return flags(given)

    def _peak_memory(self, *, is_cpu: bool) -> tuple[int | None, str]:
        found, source = hardware.engine_memory_bytes(
            self.server.pids(), is_cpu=is_cpu, devices=world_size(self._config.args)
        )
        # A server that died has none left to be read.
        self._peak_bytes = max(self._peak_bytes or 0, found or 0) or None
        return self._peak_bytes, source


def _loaded(log_text: str) -> Loaded:
    """Version, data type and device, read from the log of the engine's start."""
    found = BEGINNING.search(log_text)
    if found is None:
        return Loaded("unknown", "unknown", None, "cpu" if hardware.cuda_devices() == 0 else "cuda")

    def setting(name: str) -> str:
        value = re.search(rf"\b{name}=([^,\s]+)", found[2])
        return "unknown" if value is None else value[1]

    quantization = setting("quantization")
    return Loaded(
        version=found[1],
        dtype=setting("dtype").removeprefix("torch."),
        quantization=None if quantization in {"None", "unknown"} else quantization,
        device=setting("device_config"),
    )
