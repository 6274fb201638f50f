"""What is known to fail before anything is loaded."""

import pytest

from harness.errors import StoreError, UnavailableError
from harness.preflight import (
    check_disk,
    check_memory,
    check_requirements,
    memory_needed_bytes,
)
from harness.provenance import GpuInfo, collect
from tests.conf.test_compose import compose


def machine(memory_gb=24, gpus=()):
    found = collect()
    return found.model_copy(
        update={
            "memory_bytes": int(memory_gb * 1e9),
            "cpu": "Some CPU",
            "gpus": tuple(
                GpuInfo(name="NVIDIA H200", memory_bytes=int(gb * 1e9), driver="1") for gb in gpus
            ),
        }
    )


def test_weights_and_one_context_are_what_a_model_needs():
    config = compose("model=r1_distill_qwen_1_5b")
    assert memory_needed_bytes(config.model, config.engine, 34_816) == (
        2 * 1_777_088_000 + 34_816 * 28_672
    )


@pytest.mark.parametrize(
    ("overrides", "gpus", "fits"),
    [
        (["model=r1_distill_llama_70b", "engine=vllm"], [150], False),
        (["model=r1_distill_llama_70b", "engine=vllm"], [150, 150], False),
        (
            ["model=r1_distill_llama_70b", "engine=vllm", "+engine.args.tensor_parallel_size=2"],
            [150, 150],
            True,
        ),
        (
            ["model=r1_distill_llama_70b", "engine=vllm", "+engine.args.quantization=fp8"],
            [150],
            True,
        ),
        (["model=r1_distill_qwen_32b", "engine=vllm"], [150], True),
        (["model=r1_distill_qwen_7b", "engine=transformers", "engine.device=cpu"], [150], True),
        (["model=r1_distill_qwen_14b", "engine=transformers"], [], False),
    ],
)
def test_a_model_must_fit(overrides, gpus, fits):
    config = compose(*overrides)
    if fits:
        check_memory(config, machine(gpus=gpus))
        return
    with pytest.raises(UnavailableError, match=r"^model=r1_distill_\w+ needs about \d+ GB for its"):
        check_memory(config, machine(gpus=gpus))


def test_too_small_a_gpu_is_named_with_what_would_be_right():
    config = compose("model=r1_distill_llama_70b", "engine=vllm")
    with pytest.raises(UnavailableError) as error:
        check_memory(config, machine(gpus=[150]))
    assert str(error.value) == (
        "model=r1_distill_llama_70b needs about 153 GB for its weights and one context of 34816 "
        "tokens, 1 x NVIDIA H200 has 150 GB; use a smaller model, +engine.args.quantization=… or "
        "+engine.args.tensor_parallel_size=…"
    )


def test_a_disk_without_room_is_named(monkeypatch, tmp_path):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 5 << 20))
    with pytest.raises(StoreError) as error:
        check_disk(tmp_path / "not" / "there" / "yet")
    assert str(error.value) == (
        f"results_dir={tmp_path}/not/there/yet: 5 MiB free there, a run needs at least 64 MiB"
    )


@pytest.mark.parametrize(
    ("gpus", "here"),
    [((), "none"), ((40,), "NVIDIA H200 (40 GB)"), ((141, 40), None), ((141,), None)],
)
def test_an_experiment_refuses_a_machine_that_it_is_not_meant_for(gpus, here):
    config = compose("requires={gpus: 1, gpu_memory_bytes: 80e9}")
    if here is None:
        check_requirements(config, machine(gpus=gpus))
        return
    with pytest.raises(UnavailableError) as caught:
        check_requirements(config, machine(gpus=gpus))
    assert str(caught.value) == (
        "requires.gpus=1: this experiment needs 1 NVIDIA GPU(s) with 80 GB each, this machine has "
        f"{here}; --dry-run shows its plan, requires=null lifts this"
    )
