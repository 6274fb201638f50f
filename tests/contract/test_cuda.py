"""What only a GPU can show: precision of its own, its memory, its energy counter.

The contract itself holds on it too: see the parameters of ``conftest``.
"""

from pathlib import Path

import pytest

from harness.doctor.engines import look_at_engines
from harness.doctor.machine import find_gpus
from harness.engines.transformers_engine import TransformersConfig
from harness.machine.energy import EnergyMeter
from harness.models import ResolvedModel
from tests.contract.conftest import NEEDS_GPU, TINY_CONTEXT, ask, by_id, open_engine
from tests.facts import known

pytestmark = [*NEEDS_GPU, pytest.mark.filterwarnings("ignore")]


def on_cuda(dtype: str) -> TransformersConfig:
    return TransformersConfig(kind="transformers", device="cuda", dtype=dtype, max_batch_size=16)


def test_bfloat16_gives_whole_answers_and_frees_its_memory(tiny: ResolvedModel) -> None:
    import torch

    requests = [ask(n, prompt_tokens=5 + 7 * n, max_new_tokens=40) for n in range(24)]
    with open_engine(on_cuda("float32"), tiny, TINY_CONTEXT) as engine:
        exact = by_id(list(engine.generate(requests)))
    with open_engine(on_cuda("bfloat16"), tiny, TINY_CONTEXT) as engine:
        rough = by_id(list(engine.generate(requests)))
        info = engine.info()
        held = torch.cuda.memory_allocated()
    assert (info.device, info.dtype, info.device_count) == ("cuda", "bfloat16", 1)
    assert info.peak_memory_source == "torch.cuda.max_memory_allocated"
    assert held > 151_665 * 64 * 2
    assert torch.cuda.memory_allocated() < held / 2
    assert rough.keys() == exact.keys()
    assert all(
        each.error is None and 1 <= known(each.completion_tokens) <= 40 for each in rough.values()
    )
    # Rounding decides near-ties otherwise, so whole texts may differ, but hardly any first word.
    begin_alike = sum(rough[key].text[:1] == exact[key].text[:1] for key in exact)
    assert begin_alike >= 0.75 * len(requests)


def test_generating_takes_energy_that_the_gpu_counts(tiny: ResolvedModel) -> None:
    requests = [ask(n, max_new_tokens=200, temperature=1.0, seed=n) for n in range(64)]
    with (
        open_engine(on_cuda("float32"), tiny, TINY_CONTEXT) as engine,
        EnergyMeter("cuda") as meter,
    ):
        spans = [(each.started_s, each.finished_s) for each in engine.generate(requests)]
    energy = meter.energy
    if energy.joules is None and "Not Supported" in energy.source:
        pytest.skip(f"this GPU has no energy counter: {energy.source}")
    assert energy.source.startswith("NVML, ")
    seconds = max(known(end) for _, end in spans) - min(known(start) for start, _ in spans)
    # No GPU in use draws less than 5 W, and no machine more than 20 kW.
    assert 5 * seconds < known(energy.joules) < 20_000 * (seconds + 5)


def test_the_doctor_sees_the_gpu_and_computes_on_it(tmp_path: Path) -> None:
    gpus = find_gpus()
    assert gpus.devices
    assert all(gpu.driver for gpu in gpus.devices)
    assert [each.name for each in gpus.findings][:2] == ["driver", "GPU 0"]
    torch_found, transformers_found, _ = look_at_engines()
    assert torch_found.status == "ok", torch_found
    assert gpus.devices[0].name in transformers_found.value
