"""``harness run``: from a configuration to a complete run folder."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from types import FrameType

from harness.commands.setup import (
    Setup,
    find_unfinished,
    questions_of,
    reopen,
    results_dir_of,
    set_up,
)
from harness.config import RunConfig
from harness.engines.base import Engine
from harness.engines.build import ReplayConfig, build_engine, resolve_auto
from harness.errors import HarnessError, Interrupted, StoreError
from harness.manifest import RunManifest, Session, dump_json
from harness.models import resolve
from harness.pipeline import Scoring, build_requests, generate, run_clock, score_missing
from harness.progress import RunProgress
from harness.prompts import Codec
from harness.report.summary import headline, print_summary
from harness.result import build_result, choose_pricing, exit_status, scoring_workers, usd_per_s
from harness.store import Run

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
    config = config.model_copy(update={"engine": engine})
    with _signals_interrupt(), ExitStack() as stack:
        found = find_unfinished(config, results_dir, is_bare_resume=is_bare_resume)
        if found is None:
            log.info("%s", why)
            setup = set_up(config, results_dir, stack)
        else:
            setup = reopen(found, stack)
        log.info("run %s", setup.run.folder)
        try:
            return _complete(setup)
        except HarnessError as error:
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
    questions = questions_of(setup.problems, setup.prompts, setup.scorers)
    progress = RunProgress(total=len(requests), done=len(done))
    progress.already_graded(list(run.read_verdicts().values()))
    sessions = list(manifest.sessions)
    with progress, Scoring(run, questions, progress, scoring_workers(config)) as scoring:
        if missing:
            open_engine = _engine_opener(setup, clock_start_s, sessions, progress)
            generate(run, missing, open_engine, scoring, progress)
        scoring.wait()
        score_missing(run, scoring)
    return finish(run, manifest.model_copy(update={"sessions": tuple(sessions)}))


def finish(run: Run, manifest: RunManifest) -> int:
    """Writes the result of a run that has all its verdicts, and shows it."""
    complete = manifest.model_copy(
        update={"status": "complete", "finished_at": datetime.now(UTC), "error": None}
    )
    result = build_result(run, complete)
    run.write_result(result)
    run.write_manifest(complete)
    status, reasons = exit_status(result)
    print_summary(result, run.folder, reasons)
    print(dump_json(headline(result, run.folder)))  # noqa: T201 - stdout's last line is for programs
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
    setup: Setup, clock_start_s: float, sessions: list[Session], progress: RunProgress
) -> Iterator[Engine]:
    """The engine, with its session on record before it generates."""
    config = setup.manifest.config
    started_at = datetime.now(UTC)
    clock = run_clock(clock_start_s)
    is_replay = isinstance(config.engine, ReplayConfig)
    model = setup.manifest.model if is_replay else resolve(config.model)
    codec = None if is_replay else Codec.load(model)
    log.info("loading %s", model.name)
    engine = build_engine(config.engine, model, codec, clock, config.protocol.context_tokens)
    with engine:
        # Loading took time in which nothing was generated; the session starts after it.
        opened = Session(started_at=started_at, clock_start_s=clock(), engine=engine.info())
        sessions.append(opened)
        _write_sessions(setup, sessions)
        pricing = choose_pricing(config.pricing, opened.engine)
        progress.generation_starts(usd_per_s(pricing, opened.engine))
        try:
            yield engine
        finally:
            # Peak memory is only known now.
            sessions[-1] = opened.model_copy(update={"engine": engine.info()})
            _write_sessions(setup, sessions)


def _write_sessions(setup: Setup, sessions: list[Session]) -> None:
    with suppress(StoreError):  # a full disk is reported by whoever loses something through it
        setup.run.write_manifest(setup.manifest.model_copy(update={"sessions": tuple(sessions)}))


def _engine_opener(
    setup: Setup, clock_start_s: float, sessions: list[Session], progress: RunProgress
) -> Callable[[], AbstractContextManager[Engine]]:
    def opener() -> AbstractContextManager[Engine]:
        start_s = max(clock_start_s, _recorded(setup.run)[1])
        return _opened(setup, start_s, sessions, progress)

    return opener


def _record_end(setup: Setup, error: HarnessError) -> None:
    """Says in the manifest how the run ended, and to the user how to go on."""
    ended = "interrupted" if isinstance(error, Interrupted) else "failed"
    with suppress(StoreError):
        manifest = setup.run.read_manifest().model_copy(
            update={"status": ended, "finished_at": datetime.now(UTC), "error": str(error)}
        )
        setup.run.write_manifest(manifest)
    log.warning(
        "everything up to here is kept; go on with: harness run resume=%s", setup.run.run_id
    )


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """SIGINT and SIGTERM stop the run in order; a second one is not needed and ignored."""
    arrived: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        if not arrived:
            arrived.append(number)
            raise Interrupted(f"stopped by {signal.Signals(number).name}")

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, interrupt) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
