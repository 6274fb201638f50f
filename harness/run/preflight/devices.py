"""Whether there are the GPUs that vLLM's own arguments ask for."""

from harness.engines.build import EngineConfig, VllmKnobs
from harness.engines.vllm_args import is_ray, world_size
from harness.errors import UnavailableError

_SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def check_devices(engine: EngineConfig, there: int) -> None:
    """Compares vLLM's sizes with the GPUs that this process may use.

    Says nothing of a machine without GPUs: there the sizes are processes.

    Raises:
        UnavailableError: There are too few; names the sizes and their product.
    """
    if not isinstance(engine, VllmKnobs) or there == 0 or _spans_machines(engine):
        return
    wanted = world_size(engine.args)
    if wanted > there:
        sizes = [(name, engine.args[name]) for name in _SIZES if name in engine.args]
        given = " x ".join(f"engine.args.{name}={size}" for name, size in sizes)
        raise UnavailableError(f"{given}: needs {wanted} GPUs, this process may use {there}")


def _spans_machines(engine: VllmKnobs) -> bool:
    """Whether vLLM itself reaches over machines."""
    given = engine.args
    is_elsewhere = bool(given.get("data_parallel_address") or given.get("nnodes", 1) != 1)
    return is_elsewhere or is_ray(given)
