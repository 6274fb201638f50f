"""``harness nightly``: a suite tonight, each model in a process of its own, held against before."""

import argparse
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from harness.analysis.nightly.baselines import (
    Baseline,
    choose_baseline,
    kept_baselines,
    named_baselines,
)
from harness.analysis.nightly.child import Ended, dry_run_command, run_child
from harness.analysis.nightly.history import History, series
from harness.analysis.nightly.jobs import Job, jobs_of
from harness.analysis.nightly.judge import Rules, compare_nights, paired
from harness.analysis.nightly.record import Night, night_of
from harness.analysis.nightly.retention import check_keep, prune
from harness.errors import Interrupted, NotComparableError, StoreError, UserError
from harness.io.jsonl import open_own, read_json, unwritable, write_atomically
from harness.process.run_child import read_report
from harness.records import Record
from harness.report.nightly import print_night, summary, write_history_page
from harness.runner.build_result import exit_status
from harness.store.manifest import dump_json
from harness.store.result import load

log = logging.getLogger(__name__)

SCRATCH = "gegenprobe-night-"
REPORT = "underway.report.jsonl"
_SECONDS_PER_HOUR = 3600.0


class Underway(Record):
    """``nightly/underway.json``: what is being run, should this night be killed."""

    night: Night
    """As it is to be recorded then."""
    scratch: str
    not_begun: tuple[str, ...]


@dataclass(frozen=True)
class _Tonight:
    """What holds for all of the night's runs."""

    night: date
    results_dir: Path
    rules: Rules
    limit_s: float
    named: Sequence[Baseline]
    kept: Sequence[Baseline]

    @property
    def folder(self) -> Path:
        return self.results_dir / "nightly"

    @property
    def history(self) -> History:
        return History(self.folder / "history.jsonl")

    @property
    def underway(self) -> Path:
        return self.folder / "underway.json"

    @property
    def report(self) -> Path:
        """What the run that is underway reports (``process.report``)."""
        return self.folder / REPORT


def nightly(options: argparse.Namespace) -> int:
    """Runs the night.

    Returns:
        0, 4 when a run crashed or had more errors or truncation than allowed, 5 when something is
        worse than before; 5 also where 4 would be right too.

    Raises:
        UserError: An argument is wrong, or another night is running.
        Interrupted: A signal came; what had ended is on record.
    """
    rules = Rules(options.nights, options.margin, options.speed_tolerance)
    check_keep(options.keep)
    if not options.max_hours > 0:
        raise UserError(f"--max-hours {options.max_hours:g}: hours above 0")
    results_dir = options.results_dir.expanduser().resolve()
    night = _date(options.date)
    jobs = jobs_of(options.overrides)
    named = named_baselines(options.baseline, [j.config.model.name for j in jobs], results_dir)
    if options.dry_run:
        return _dry_run(jobs, results_dir)
    tonight = _Tonight(
        night=night,
        results_dir=results_dir,
        rules=rules,
        limit_s=options.max_hours * _SECONDS_PER_HOUR,
        named=named,
        kept=kept_baselines(results_dir),
    )
    with _alone(tonight.folder):
        _record_killed(tonight)
        tonight.history.read()  # a damaged one is told of now, not in the morning
        nights = []
        try:
            for number, job in enumerate(jobs):
                waiting = tuple(each.label for each in jobs[number + 1 :])
                nights.append(_run_job(job, waiting, tonight))
        finally:
            everything = tonight.history.read()
            page = write_history_page(everything, tonight.results_dir)
        _clear_up(everything, options.keep, tonight)
    print_night(nights, everything, page)
    told = summary(nights, page, tonight.history.file, results_dir)
    if not sys.stdout.isatty():  # stdout's last line is for programs
        print(dump_json(told))  # noqa: T201
    return int(told["exit_status"])


def _date(given: str | None) -> date:
    if given is None:
        return datetime.now(UTC).astimezone().date()
    try:
        return date.fromisoformat(given)
    except ValueError as error:
        raise UserError(f"--date {given}: a date such as 2026-11-22") from error


def _dry_run(jobs: Sequence[Job], results_dir: Path) -> int:
    """What each run would do, said by ``harness run`` itself."""
    statuses = []
    for job in jobs:
        print(f"harness: {job.label}")  # noqa: T201
        command = dry_run_command(job.overrides, results_dir)
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        print(done.stdout, end="", flush=True)  # noqa: T201
        print(done.stderr, end="", file=sys.stderr)  # noqa: T201
        statuses.append(done.returncode)
    return max(statuses)


# --- one night at a time ----------------------------------------------------------------------


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds the lock of the night.

    Raises:
        UserError: Another night holds it.
        StoreError: The folder cannot be made.
    """
    file = folder / ".lock"
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        lock = open_own(file, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unwritable(file, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = lock.read().decode("ascii", "replace").strip() or "another process"
            raise UserError(
                f"another night is running ({owner}) in {folder}; harness status shows its progress"
            ) from error
        lock.truncate(0)
        since = datetime.now(UTC).astimezone().isoformat(timespec="minutes")
        lock.write(f"process {os.getpid()} since {since}".encode())
        yield


def _record_killed(tonight: _Tonight) -> None:
    """Puts on record what a night that was killed had begun, and removes its scratch folder."""
    if not tonight.underway.is_file():
        return
    left = read_json(tonight.underway, Underway)
    scratch = Path(left.scratch)
    if scratch.name.startswith(SCRATCH):
        shutil.rmtree(scratch, ignore_errors=True)
    known = {(night.label, night.started_at) for night in tonight.history.read()}
    if (left.night.label, left.night.started_at) not in known:
        also = f"; not begun: {', '.join(left.not_begun)}" if left.not_begun else ""
        killed = left.night.model_copy(
            update={
                "run_id": read_report(tonight.report).run_id,
                "error": f"the night was killed while this ran{also}",
            }
        )
        tonight.history.append(killed)
        log.warning("%s, %s: %s", killed.night, killed.label, killed.error)
    tonight.underway.unlink()
    tonight.report.unlink(missing_ok=True)


def _clear_up(everything: Sequence[Night], keep: int, tonight: _Tonight) -> None:
    """Clears up after old nights; what cannot be removed is told of and changes no verdict."""
    spared = {each.manifest.run_id for each in (*tonight.named, *tonight.kept)}
    try:
        pruned = prune(everything, keep, tonight.results_dir, spared)
    except OSError as error:
        log.warning("%s: cannot be removed: %s", error.filename, error.strerror)
        return
    if pruned:
        log.info("%d old runs: result.json is kept, the rest removed", len(pruned))


# --- one model --------------------------------------------------------------------------------


def _run_job(job: Job, waiting: tuple[str, ...], tonight: _Tonight) -> Night:
    """Runs one model, compares it, and puts it on record."""
    before = tonight.history.read()
    begun = _begin(job, tonight, len(before))
    config = job.config.model_copy(update={"results_dir": str(tonight.results_dir)})
    scratch = tempfile.mkdtemp(prefix=SCRATCH)
    logs = tonight.folder / "logs" / str(begun.log)
    try:
        underway = Underway(night=begun, scratch=scratch, not_begun=waiting)
        write_atomically(tonight.underway, underway.model_dump_json())
        log.info("%s: running, with its output in %s", job.label, logs)
        try:
            ended = run_child(config, logs, tonight.report, Path(scratch), tonight.limit_s)
        except Interrupted as stop:
            run_id = read_report(tonight.report).run_id
            update = {"status": "stopped", "error": str(stop), "run_id": run_id}
            tonight.history.append(_finished(begun).model_copy(update=update))
            raise
        night = _judged(_finished(begun), ended, before, tonight)
        tonight.history.append(night)
    finally:
        tonight.underway.unlink(missing_ok=True)
        tonight.report.unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return night


def _begin(job: Job, tonight: _Tonight, number: int) -> Night:
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in job.label)
    return Night(
        night=tonight.night,
        label=job.label,
        model=job.config.model.name,
        status="crashed",
        exit_status=None,
        log=f"{tonight.night}_{safe}_{number}.log",
        started_at=datetime.now(UTC),
    )


def _finished(night: Night) -> Night:
    return night.model_copy(update={"finished_at": datetime.now(UTC)})


def _judged(begun: Night, ended: Ended, before: Sequence[Night], tonight: _Tonight) -> Night:
    """The night's line, with all that is found when it is held against earlier ones."""
    folder = ended.report.folder
    result_file = None if folder is None else folder / "result.json"
    if result_file is None or ended.exit_status not in {0, 4} or not result_file.is_file():
        update = {
            "exit_status": ended.exit_status,
            "error": _why(ended, tonight),
            "run_id": ended.report.run_id,
        }
        return begun.model_copy(update=update)
    try:
        result = load(result_file)
    except StoreError as damage:  # or the harness was renewed during the night
        update = {
            "exit_status": ended.exit_status,
            "error": str(damage),
            "run_id": result_file.parent.name,
        }
        return begun.model_copy(update=update)
    night = night_of(
        begun, result, ended.exit_status, "; ".join(exit_status(result).reasons) or None
    )
    comparable = series(before, night, tonight.rules.nights)
    findings = compare_nights(night, result_file, comparable, tonight.rules, tonight.results_dir)
    error = night.error
    baseline = choose_baseline(result, tonight.named, tonight.kept)
    if baseline is not None:
        try:
            findings += paired(baseline.side, baseline.label, result_file, tonight.rules)
        except NotComparableError as mismatch:
            error = "; ".join(filter(None, (error, str(mismatch))))
    return night.model_copy(update={"findings": tuple(findings), "error": error})


def _why(ended: Ended, tonight: _Tonight) -> str:
    """Why a run has no result, in one line."""
    if ended.is_too_long:
        hours = tonight.limit_s / _SECONDS_PER_HOUR
        return f"stopped after {hours:g} hours, as --max-hours says"
    if ended.exit_status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-ended.exit_status).name}"
    why = f": {ended.report.error}" if ended.report.error else ""
    return f"harness run ended with exit status {ended.exit_status}{why}"
