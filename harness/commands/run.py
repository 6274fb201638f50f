"""``harness run``: from a configuration to a complete run folder."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial

from harness.commands.setup import (
    Setup,
    find_unfinished,
    questions_of,
    reopen,
    results_dir_of,
    set_up,
    with_scorers,
)
from harness.config import RunConfig
from harness.energy import EnergyMeter
from harness.engines.base import Clock, Engine
from harness.engines.build import OpenaiConfig, ReplayConfig, build_engine, resolve_auto
from harness.errors import Interrupted, StoreError
from harness.manifest import RunManifest, Session, dump_json
from harness.models import ResolvedModel, resolve
from harness.pipeline import Scoring, build_requests, generate, run_clock, score_missing
from harness.progress import RunProgress
from harness.prompts import Codec
from harness.provenance import collect
from harness.records import EngineInfo
from harness.report.summary import headline, print_summary
from harness.result import build_result, choose_pricing, exit_status, scoring_workers, usd_per_s
from harness.store import Run, find_run

log = logging.getLogger(__name__)


def run(config: RunConfig, *, is_bare_resume: bool = False) -> int:
    """Runs or continues a benchmark.

    Args:
        config: The composed configuration.
        is_bare_resume: Nothing but ``resume=…`` was asked for, so the recorded configuration
            holds; otherwise it must agree with ``config``.

    Returns:
        0, or 4 when there were more errors or truncation than allowed.
    """
    results_dir = results_dir_of(config)
    engine, why = resolve_auto(config.engine)
    if isinstance(engine, ReplayConfig):
        engine = engine.model_copy(update={"run": str(find_run(engine.run, results_dir).folder)})
    config = config.model_copy(update={"engine": engine})
    with ExitStack() as stack:
        found = find_unfinished(config, results_dir, is_bare_resume=is_bare_resume)
        if found is None:
            log.info("%s", why)
            setup = set_up(config, results_dir, stack)
        else:
            setup = reopen(found, stack)
        log.info("run %s", setup.run.folder)
        try:
            return _complete(setup)
        except (Exception, Interrupted) as error:
            _record_end(setup, error)
            raise


def _complete(setup: Setup) -> int:
    """Generates and grades what is missing, then says what came of it."""
    run, manifest = setup.run, setup.manifest
    config = manifest.config
    requests = build_requests(
        list(setup.prompts.values()),
        config.protocol.sampling,
        config.protocol.samples_per_problem,
        config.seed,
    )
    done, clock_start_s = _recorded(run)
    missing = [request for request in requests if request.request_id not in done]
    if done:
        log.info("%d of %d requests are recorded already", len(done), len(requests))
    if setup.regrade:
        run.start_new_verdicts()
    questions = questions_of(setup.problems, setup.prompts, setup.scorers)
    progress = RunProgress(total=len(requests), done=len(done))
    progress.already_graded(list(run.read_verdicts().values()))
    sessions = list(manifest.sessions)
    with progress, Scoring(run, questions, progress, scoring_workers(config)) as scoring:
        if missing:
            # one clock for the process: it goes on where the last one stopped, engine or no engine
            open_engine = partial(_opened, setup, run_clock(clock_start_s), sessions, progress)
            generate(run, missing, open_engine, scoring, progress)
        scoring.wait()
        score_missing(run, scoring)
    manifest = manifest.model_copy(update={"sessions": tuple(sessions)})
    if setup.regrade:
        run.keep_new_verdicts()
        manifest = with_scorers(manifest, setup.scorers)
    return finish(run, manifest)


def finish(run: Run, manifest: RunManifest) -> int:
    """Writes the result of a run that has all its verdicts, and shows it."""
    # A run that is only graded again finished when it did.
    is_done = manifest.status == "complete" and manifest.finished_at is not None
    finished_at = manifest.finished_at if is_done else datetime.now(UTC)
    complete = manifest.model_copy(
        update={"status": "complete", "finished_at": finished_at, "error": None}
    )
    result = build_result(run, complete)
    run.write_result(result)
    run.write_manifest(complete)
    status, reasons = exit_status(result)
    print_summary(result, run.folder, reasons)
    if not sys.stdout.isatty():  # stdout's last line is for programs
        print(dump_json(headline(result, run.folder)))  # noqa: T201
    return status


def _recorded(run: Run) -> tuple[set[str], float]:
    """The requests that are done, and where the run's clock goes on."""
    done, last_s = set(), 0.0
    for completion in run.read_completions():
        done.add(completion.request_id)
        last_s = max(last_s, completion.finished_s or 0.0)
    return done, last_s


@contextmanager
def _opened(
    setup: Setup, clock: Clock, sessions: list[Session], progress: RunProgress
) -> Iterator[Engine]:
    """The engine, with its session on record before it generates."""
    config = setup.manifest.config
    if isinstance(config.engine, ReplayConfig):
        with _replaying(config, setup.manifest.model, sessions) as replay:
            _write_sessions(setup, sessions)
            yield replay
        return
    started_at = datetime.now(UTC)
    model = resolve(config.model, with_weights=not isinstance(config.engine, OpenaiConfig))
    _check_same_model(setup, model)
    log.info("loading %s", model.name)
    codec = Codec.load(model)
    engine = build_engine(
        config.engine, model, codec, clock, config.protocol.context_tokens, setup.run.folder
    )
    with engine:
        # Loading took time in which nothing was generated; the session starts after it.
        opened = Session(
            started_at=started_at,
            clock_start_s=clock(),
            engine=engine.info(),
            provenance=collect(),
            energy_source="none: the session ended before its counters were read",
        )
        _check_same_machine(setup, sessions, opened.engine)
        sessions.append(opened)
        _write_sessions(setup, sessions)
        pricing = choose_pricing(config.pricing, opened.engine)
        progress.generation_starts(usd_per_s(pricing, opened.engine))
        meter = EnergyMeter(opened.engine.device)
        try:
            with meter:
                yield engine
        finally:
            # Peak memory and energy are only known now.
            energy = meter.energy
            sessions[-1] = opened.model_copy(
                update={
                    "engine": engine.info(),
                    "energy_joules": energy.joules,
                    "energy_source": energy.source,
                }
            )
            _write_sessions(setup, sessions)


@contextmanager
def _replaying(
    config: RunConfig, model: ResolvedModel, sessions: list[Session]
) -> Iterator[Engine]:
    """A recording, with the sessions in which it was made: its times are on their clock."""
    assert isinstance(config.engine, ReplayConfig)
    engine = build_engine(config.engine, model, None, run_clock(0.0), 0)
    with engine:
        recorded = find_run(config.engine.run, results_dir_of(config)).read_manifest()
        renamed = {"name": engine.info().name, "version": engine.info().version}
        sessions[:] = [
            session.model_copy(update={"engine": session.engine.model_copy(update=renamed)})
            for session in recorded.sessions
        ]
        yield engine


def _check_same_model(setup: Setup, model: ResolvedModel) -> None:
    """One run, one model: its weights may have been replaced since it began."""
    was = setup.manifest.model
    if (was.sha256, was.revision) != (model.sha256, model.revision):
        raise StoreError(
            f"run {setup.run.run_id} began with weights of sha256 {str(was.sha256)[:12]} "
            f"(revision {was.revision}), {model.path} now has {str(model.sha256)[:12]} "
            f"(revision {model.revision}); bring those back or start a new run"
        )


def _check_same_machine(setup: Setup, sessions: list[Session], now: EngineInfo) -> None:
    """Rates and cost of different devices cannot be joined in one figure."""
    if not sessions:
        return
    was = sessions[-1].engine
    for name in ("name", "device_name", "device_count", "dtype"):
        before, here = getattr(was, name), getattr(now, name)
        if before != here:
            raise StoreError(
                f"run {setup.run.run_id} was made with {name} {before}, here it is {here}; "
                "go on with it there, or start a new run"
            )
    if was.version != now.version:
        log.warning("the engine's version changed from %s to %s", was.version, now.version)


def _write_sessions(setup: Setup, sessions: list[Session]) -> None:
    with suppress(StoreError):  # a full disk is reported by whoever loses something through it
        setup.run.write_manifest(setup.manifest.model_copy(update={"sessions": tuple(sessions)}))


def _record_end(setup: Setup, error: BaseException) -> None:
    """Says in the manifest how the run ended, and to the user how to go on."""
    ended = "interrupted" if isinstance(error, Interrupted) else "failed"
    with suppress(StoreError):
        manifest = setup.run.read_manifest().model_copy(
            update={"status": ended, "finished_at": datetime.now(UTC), "error": str(error)}
        )
        setup.run.write_manifest(manifest)
    log.warning("everything up to here is kept; go on with: harness run resume=%s", setup.run.shown)
