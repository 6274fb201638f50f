"""The jobs of a sweep, each in a child process.

The outcome of a job is a small file in the sweep's folder, because a launcher may run it on another
machine: only the shared disk brings anything back from there.

What became of a job is kept in a small file in the sweep's folder, because a launcher may run it
on another machine: all that comes back from there is what is on the disk that they share.
"""

import hashlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.config.settings import RunConfig, load_run_config
from harness.errors import Interrupted
from harness.io.jsonl import open_own, read_json, write_atomically
from harness.io.paths import include, places
from harness.io.redaction import redact
from harness.process.reaper import RunCleanup
from harness.process.report import FinishedReport
from harness.process.run_child import RunChild, RunSpec
from harness.runner.included import with_included
from harness.runner.plan import Plans
from harness.runner.sweep.outcome import SweptJob, conclude
from harness.runner.sweep.resumed import use_recorded_config
from harness.runner.sweep.words import plain

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)

STDERR = 2


class Jobs:
    """The function that Hydra calls for each job of a sweep, here or on another machine."""

    def __init__(self, folder: Path, *, is_dry_run: bool, is_elsewhere: bool) -> None:
        """Has nothing to do yet.

        Args:
            folder: The sweep's own; jobs on other machines see it too.
            is_dry_run: Only plan.
            is_elsewhere: A launcher runs the jobs; then their stdout is not this command's.
        """
        self._is_elsewhere = is_elsewhere
        self._folder = folder
        # A launcher may run a job where the variable is not set.
        self._included = [place.folder for place in places()]
        self._plans = Plans() if is_dry_run else None
        self._failed: dict[str, int] = {}
        """The first job that failed with each error."""
        self._interruption: Interrupted | None = None
        """Raised when Hydra is done: it would print a line before it."""

    def run(self, composed: "DictConfig") -> None:
        """Runs one job; prints an error instead of raising it, so that the next job runs."""
        from hydra.core.hydra_config import HydraConfig

        if self._interruption is not None:
            return
        hydra_config = HydraConfig.get()
        number = hydra_config.job.num + 1
        given = [str(override) for override in hydra_config.overrides.task]
        overrides = [redact(override) for override in given]
        job = SweptJob(number=number, overrides=tuple(overrides))
        claim = self._claim(composed, job)
        if claim is None:
            return  # an override took the place of what an experiment sweeps over
        file, is_again = claim
        self._say(f"job {number}: {' '.join(overrides)}")
        try:
            include(self._included)
            config = use_recorded_config(given, self._folder / "conf") or with_included(
                load_run_config(plain(composed)), dict(hydra_config.runtime.choices)
            )
            if is_again and config.resume is None:
                config = config.model_copy(update={"resume": "auto"})
            report = self._report(config)
        except Interrupted as interruption:
            self._interruption = interruption
            report = FinishedReport().failed(interruption)
        except Exception as error:  # noqa: BLE001 - reported, and on record
            report = FinishedReport().failed(error)
        if report.error is not None and self._interruption is None:
            first = self._failed.setdefault(report.error, number)
            shown = report.error if first == number else f"as job {first}"
            log.error("job %d: %s", number, shown)
        write_atomically(file, job.model_copy(update={"report": report}).model_dump_json())

    def _report(self, config: RunConfig) -> FinishedReport:
        if self._plans is not None:
            self._plans.show(config)
            return FinishedReport(status=0)
        stdout = STDERR if self._is_elsewhere else None
        with RunCleanup(of_divided_run=config.is_divided) as children:
            spec = RunSpec(config=config.model_dump(mode="json"), stdout=stdout)
            return RunChild(children, spec).finish()

    def _claim(self, composed: "DictConfig", job: SweptJob) -> tuple[Path, bool] | None:
        """Claims the job's file; returns it, and whether the job began before (a requeued job).

        None where another job of this sweep has the same configuration.

        None where another job of this sweep has the same configuration.
        """
        from omegaconf import OmegaConf

        content = json.dumps(OmegaConf.to_container(composed), sort_keys=True, default=str)
        file = self._folder / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.json"
        try:
            with open_own(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as stream:
                stream.write(job.model_dump_json().encode())
        except FileExistsError:
            known = read_json(file, SweptJob)
            return (file, True) if known.number == job.number else None
        return file, False

    def _say(self, line: str) -> None:
        stream = sys.stdout if self._plans is not None else sys.stderr
        print(redact(f"harness: {line}"), file=stream, flush=True)

    def close(self) -> int:
        """Logs the outcome of all jobs; returns the highest exit status.

        Raises:
            Interrupted: A signal ended the sweep.
        """
        files = self._folder.glob("*.json")
        jobs = sorted((read_json(file, SweptJob) for file in files), key=lambda job: job.number)
        if self._plans is not None and len(jobs) > 1:
            self._plans.close(len(jobs))
        status = conclude(jobs, is_elsewhere=self._is_elsewhere) if jobs else 0
        if self._interruption is not None:
            raise self._interruption
        return status
