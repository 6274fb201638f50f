"""``harness run … shards=2``: runs all shards of a run on this machine, then merges them."""

import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.engines.build import BaseEngineConfig
from harness.errors import ShardsError, UnavailableError
from harness.machine import hardware
from harness.process.reaper import RunCleanup
from harness.process.report import FinishedReport
from harness.process.run_child import RunChild, RunSpec
from harness.runner.decisions import results_dir_of
from harness.runner.finished import Finished
from harness.runner.merge import merge_runs
from harness.runner.prepared import PreparedShards
from harness.store.run_files import Run

log = logging.getLogger(__name__)


class Share(NamedTuple):
    """The GPUs and cores of one worker."""

    gpus: tuple[str, ...] | None
    """GPUs as in ``CUDA_VISIBLE_DEVICES``; None: the engine needs none."""
    cores: tuple[int, ...] | None
    """CPU cores; None: too few to divide, and the engine does not compute on them."""


def run_shards(prepared: PreparedShards) -> Finished:
    """Runs every shard in its own process, then merges them.

    A worker that fails stops no other.

    A worker that fails stops no other.

    Raises:
        ShardsError: A worker failed; has the highest exit status of all.
        UnavailableError: This machine has too few GPUs or cores for the workers.
    """
    config = prepared.config
    shares = share_out(config.engine, config.shards)
    plain = config.model_dump(mode="json")
    with RunCleanup() as children:
        workers = [
            RunChild(
                children,
                RunSpec(
                    config={**plain, "shard": number},
                    cores=share.cores,
                    environment=_environment(share),
                    stdout=subprocess.DEVNULL,
                    prefix=f"shard {number}: ",
                ),
            )
            for number, share in enumerate(shares)
        ]
        reports = [worker.finish() for worker in workers]
    if worst := max(report.status for report in reports):
        raise _failure(reports, worst)
    runs = [Run(Path(report.run)) for report in reports if report.run is not None]
    whole = merge_runs(runs, results_dir_of(config))
    log.info("run %s", whole.folder)
    return whole


def _failure(reports: Sequence[FinishedReport], worst: int) -> ShardsError:
    """Logs what failed in each shard; the returned error says how to continue."""
    count = len(reports)
    for number, report in enumerate(reports):
        if report.status:
            log.error("shard %d of %d: %s", number, count, report.error)
    done = sum(report.status == 0 for report in reports)
    return ShardsError(
        f"{done} of {count} shards are done; the same command with resume=auto finishes the others "
        "and merges all",
        worst,
    )


def share_out(engine: BaseEngineConfig, shards: int) -> list[Share]:
    """Divides GPUs and cores equally among the workers: cost is counted in equal shares.

    Raises:
        UnavailableError: There are too few; says how many there are.
    """
    gpus = _gpus(engine, shards)
    cores = hardware.usable_cores()
    each = len(cores) // shards
    if not each and gpus is None and engine.is_local:
        raise UnavailableError(
            f"shards={shards}: the process may use {len(cores)} CPU core(s), and each worker needs "
            "one; give shards= as many or fewer, or spread them over machines with shard="
        )
    return [
        Share(
            gpus=None if gpus is None else gpus[number],
            cores=cores[number * each : (number + 1) * each] if each else None,
        )
        for number in range(shards)
    ]


def _gpus(engine: BaseEngineConfig, shards: int) -> list[tuple[str, ...]] | None:
    """The GPUs of each worker; None where the engine computes on none."""
    there = hardware.cuda_devices()
    if not there or not engine.is_local or engine.asks_for_cpu:
        return None
    each = engine.world_size
    if shards * each > there:
        of_each = f" of {each} GPUs" if each > 1 else ""
        raise UnavailableError(
            f"shards={shards}: the workers{of_each} need {shards * each} GPUs, the process may "
            f"use {there}; give shards= {there // each} or fewer, or spread them over machines "
            "with shard="
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(number) for number in range(there)] if visible is None else visible.split(",")
    names = [name.strip() for name in names if name.strip()]
    return [tuple(names[n * each : (n + 1) * each]) for n in range(shards)]


def _environment(share: Share) -> dict[str, str]:
    return {} if share.gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(share.gpus)}
