"""The speed of a run's devices: from data sheets, or on a CPU from a short measurement."""

import time
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from harness.config.pricing import is_named
from harness.config.settings import RunConfig
from harness.errors import ConfigError
from harness.machine.provenance import Provenance
from harness.quantities.machine import Machine
from harness.quantities.published import machines
from harness.runner.duration.roofline import Roof

# Of the data sheet. Set so that nine published speeds of vLLM on an H100 come out within a tenth:
# tests/unit/test_duration.py has them, with their sources.
BANDWIDTH_FRACTION = 0.75
FLOPS_FRACTION = 0.55
# Of n devices together, of n times one: an assumption for a model that is spread over several.
TOGETHER_FRACTION = 0.85
CPU_STEP_S = 20e-3
# Where a plan needs GPUs that are not here, and names no machine.
USUAL = "h200"
_PROBE_BYTES = 32 << 20
_PROBE_SIZE = 1024
"""Size of a square matrix. A smaller product ends before a thread that lost its core gets it back,
so that on a busy machine all others wait: size 256, beside two busy processes, gave a fiftieth."""
_READS, _PRODUCTS = 40, 10
_PROBE_LIMIT_S = 1.0


class Devices(NamedTuple):
    """All devices of a run."""

    title: str
    roof: Roof
    """The roofline of one copy of the model."""
    gpu_bytes: int | None
    """Memory of one GPU; None on a CPU."""
    copies: int
    """Copies of the model that share the requests, over all workers."""
    device: str
    """``cuda`` or ``cpu``; like the next two fields, what a price depends on."""
    device_name: str
    device_count: int
    workers: int = 1
    """Workers that start together, each with as many copies."""

    def of_one_worker(self) -> "Devices":
        """The devices of one worker, which is what an earlier run had."""
        return self._replace(copies=self.copies // self.workers, workers=1)


def devices_of(config: RunConfig, here: Provenance) -> Devices | str:
    """The devices to plan for, or why they are unknown.

    Raises:
        ConfigError: ``plan_for`` names none.
    """
    named = _named(config, here)
    if isinstance(named, str):
        return named
    if named is None or not named.match:
        return _cpu(config, here, named)
    engine = config.engine.for_device(is_gpu=True)
    # Shards that start together each have their own devices.
    workers = config.shards if config.shard is None else 1
    each, world = engine.replica_size, workers * engine.world_size
    together = each * (TOGETHER_FRACTION if each > 1 else 1.0)
    peak = named.peak_flops.get("bf16")
    roof = Roof(
        bytes_per_s=named.bandwidth * BANDWIDTH_FRACTION * together,
        flops_per_s=None if peak is None else peak * FLOPS_FRACTION * together,
        step_s=engine.speed.step_s,
        sequence_s=engine.speed.sequence_s,
    )
    return Devices(
        f"{world} x {named.title}",
        roof,
        named.memory_bytes,
        world // each,
        "cuda",
        named.match[0],
        world,
        workers,
    )


def _named(config: RunConfig, here: Provenance) -> Machine | str | None:
    """The machine of ``conf/machine``; None is this machine's CPU."""
    if config.plan_for is not None:
        if (found := machines().get(config.plan_for)) is None:
            raise ConfigError(
                f"plan_for={config.plan_for}: should be one of {', '.join(machines())}"
            )
        return found
    is_cpu = config.engine.asks_for_cpu
    if here.gpus and not is_cpu:
        name = here.gpus[0].name
        for each in machines().values():
            if is_named(name, each.match):
                return each
        return f"no file of conf/machine is for {name}; plan_for=… plans for another"
    if config.requires is not None and config.requires.gpus and not is_cpu:
        return machines()[USUAL]
    return None


def _cpu(config: RunConfig, here: Provenance, named: Machine | None) -> Devices:
    """This machine's CPU, or that of the named machine."""
    bandwidth, flops = measure_cpu() if named is None else (named.bandwidth, None)
    used = config.engine.for_device(is_gpu=False).speed.cpu_flops_fraction
    roof = Roof(
        bytes_per_s=bandwidth * BANDWIDTH_FRACTION,
        flops_per_s=None if flops is None else flops * used,
        step_s=CPU_STEP_S,
        sequence_s=0.0,
    )
    title = f"this CPU ({here.cpu}, {here.cpu_count} cores)" if named is None else named.title
    count = here.cpu_count if named is None else 1
    return Devices(title, roof, None, 1, "cpu", here.cpu, count)


@cache
def measure_cpu() -> tuple[float, float]:
    """Bytes read from memory, and float32 operations, per second; takes about a second.

    The best of many short measurements: a busy machine leaves few of them undisturbed. Cached per
    process, so that all jobs of a sweep are planned alike.

    The best of many short looks: a busy machine lets few of them through undisturbed. Once for a
    process, so that all jobs of a sweep are planned alike.
    """
    import numpy as np

    vector = np.ones(_PROBE_BYTES // 4, np.float32)
    matrix = np.ones((_PROBE_SIZE, _PROBE_SIZE), np.float32)
    # Both operands are the same vector: each byte is read once.
    read_s = _best(lambda: np.dot(vector, vector), _READS)
    multiply_s = _best(lambda: np.matmul(matrix, matrix), _PRODUCTS)
    return _PROBE_BYTES / read_s, 2 * _PROBE_SIZE**3 / multiply_s


def _best(work: Callable[[], object], times: int) -> float:
    """The shortest time in seconds of ``times`` calls, or of as many as the limit allows."""
    end = time.perf_counter() + _PROBE_LIMIT_S / 2
    best = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        work()
        now = time.perf_counter()
        best = min(best, now - began)
        if now > end:
            break
    return best
