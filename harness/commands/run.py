"""``harness run``: from a configuration to a complete run folder."""

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from harness.config import RunConfig, differing_keys
from harness.engines.base import Engine
from harness.engines.build import ReplayConfig, build_engine, resolve_auto
from harness.errors import ConfigError, HarnessError, Interrupted, StoreError
from harness.fingerprint import fingerprint, protocol_fields
from harness.models import ResolvedModel, resolve
from harness.paths import default_results_dir
from harness.pipeline import (
    Question,
    Scoring,
    build_requests,
    generate,
    run_clock,
    score_missing,
)
from harness.preflight import check_disk, check_memory
from harness.progress import RunProgress
from harness.prompts import Codec
from harness.provenance import collect
from harness.records import Problem, Prompt
from harness.report.summary import headline, print_summary
from harness.result import build_result, choose_pricing, exit_status, scoring_workers, usd_per_s
from harness.scorers.base import Scorer
from harness.scorers.build import build_scorer
from harness.store import (
    SCHEMA_VERSION,
    Run,
    RunManifest,
    Session,
    TaskInfo,
    create_run,
    dump_json,
    find_run,
    unfinished_runs,
)
from harness.tasks import ScorerName, Task, definition_sha256, load_task

log = logging.getLogger(__name__)


class Setup(NamedTuple):
    """A run that is ready to generate what is missing."""

    run: Run
    manifest: RunManifest
    problems: dict[str, Problem]
    prompts: dict[str, Prompt]
    scorers: dict[str, Scorer]
    """By task."""


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
    log.info("%s", why)
    config = config.model_copy(update={"engine": engine})
    with _signals_interrupt(), ExitStack() as stack:
        found = _find_unfinished(config, results_dir, is_bare_resume=is_bare_resume)
        if found is None:
            setup = _set_up(config, results_dir, stack)
        else:
            setup = _reopen(found, stack)
        log.info("run %s", setup.run.folder)
        try:
            return _complete(setup)
        except HarnessError as error:
            _record_end(setup, error)
            raise


def results_dir_of(config: RunConfig) -> Path:
    """Where this configuration keeps its runs."""
    named = config.results_dir
    return default_results_dir() if named is None else Path(named).expanduser().resolve()


# --- setting up -------------------------------------------------------------------------------


def _set_up(config: RunConfig, results_dir: Path, stack: ExitStack) -> Setup:
    """Fails on everything that can fail cheaply before it fetches or loads anything large."""
    machine = collect()
    check_memory(config, machine)
    check_disk(results_dir)
    tasks = [load_task(selection, config.data_path) for selection in config.selections]
    scorers = start_scorers(config, {task.spec.name: task.spec.scorer for task in tasks}, stack)
    model, prompts, template_sha256 = _prompts(config, tasks)
    run = create_run(results_dir, config.model.name, config.engine.kind)
    stack.enter_context(run)
    fields = {
        task.spec.name: protocol_fields(
            task,
            config.protocol,
            template_sha256,
            scorers[task.spec.name].name,
            scorers[task.spec.name].context(),
        )
        for task in tasks
    }
    manifest = RunManifest(
        schema_version=SCHEMA_VERSION,
        run_id=run.run_id,
        status="running",
        config=config,
        model=model,
        template_sha256=template_sha256,
        tasks=tuple(_task_info(task, scorers[task.spec.name]) for task in tasks),
        protocol_fingerprints={name: fingerprint(each) for name, each in fields.items()},
        protocol_fields=fields,
        scorer_context=contexts(scorers),
        sessions=(),
        provenance=machine,
        started_at=datetime.now(UTC),
        finished_at=None,
        error=None,
    )
    problems = {problem.problem_id: problem for task in tasks for problem in task.problems}
    run.write_problems(list(problems.values()))
    run.write_prompts(list(prompts.values()))
    run.write_manifest(manifest)
    return Setup(run, manifest, problems, prompts, scorers)


def _reopen(run: Run, stack: ExitStack) -> Setup:
    stack.enter_context(run)
    manifest = run.read_manifest()  # again: only under the lock is it the last word
    for note in run.cut_torn_lines():
        log.warning("%s", note)
    names = {task.name: scorer_name_of(task.scorer) for task in manifest.tasks}
    scorers = start_scorers(manifest.config, names, stack)
    if contexts(scorers) != manifest.scorer_context:
        raise StoreError(
            f"run {run.run_id} was scored with {manifest.scorer_context}, this harness has "
            f"{contexts(scorers)}; score it with harness score {run.run_id} when it is complete, "
            "or continue it with the versions that it began with"
        )
    manifest = manifest.model_copy(update={"status": "running", "error": None})
    run.write_manifest(manifest)
    return Setup(run, manifest, run.read_problems(), run.read_prompts(), scorers)


def _find_unfinished(
    config: RunConfig, results_dir: Path, *, is_bare_resume: bool
) -> Run | None:
    if config.resume is None:
        return None
    if config.resume == "auto":
        for run, manifest in unfinished_runs(results_dir):
            if not differing_keys(config, manifest.config):
                return run
        log.info("resume=auto: no unfinished run with this configuration; starting a new one")
        return None
    run = find_run(config.resume, results_dir)
    recorded = run.read_manifest().config
    differing = differing_keys(config, recorded)
    if differing and not is_bare_resume:
        raise ConfigError(
            f"resume={config.resume}: the configuration differs from the recorded one in "
            f"{', '.join(differing)}; give harness run resume={config.resume} alone, or start a "
            "new run"
        )
    return run


def start_scorers(
    config: RunConfig, names: dict[str, ScorerName], stack: ExitStack
) -> dict[str, Scorer]:
    """The scorer of each task, its processes running until the stack unwinds."""
    started: dict[ScorerName, Scorer] = {}
    for name in names.values():
        if name not in started:
            scorer = build_scorer(
                name,
                workers=scoring_workers(config),
                math_limit_s=config.scoring.math_limit_s,
                sandbox=config.sandbox,
            )
            started[name] = stack.enter_context(scorer)
    return {task: started[name] for task, name in names.items()}


def contexts(scorers: dict[str, Scorer]) -> dict[str, dict[str, str]]:
    """By scorer: what its grades depend on."""
    return {scorer.name: scorer.context() for scorer in scorers.values()}


def scorer_name_of(versioned: str) -> ScorerName:
    """``math_answer@1`` → ``math_answer``."""
    name = versioned.partition("@")[0]
    if name == "math_answer" or name == "python_tests":  # noqa: PLR1714 - mypy narrows by ==
        return name
    raise StoreError(f"scorer '{versioned}' is not known to this harness")


def _prompts(
    config: RunConfig, tasks: Sequence[Task]
) -> tuple[ResolvedModel, dict[str, Prompt], str | None]:
    if isinstance(config.engine, ReplayConfig):
        recorded = find_run(config.engine.run, results_dir_of(config))
        manifest, prompts = recorded.read_manifest(), recorded.read_prompts()
        wanted = [problem.problem_id for task in tasks for problem in task.problems]
        if missing := [problem_id for problem_id in wanted if problem_id not in prompts]:
            raise ConfigError(
                f"engine.run={config.engine.run}: it did not ask {len(missing)} of the "
                f"{len(wanted)} problems, {missing[0]} among them; choose the tasks it asked"
            )
        chosen = {problem_id: prompts[problem_id] for problem_id in wanted}
        return manifest.model, chosen, manifest.template_sha256
    model = resolve(config.model)
    codec = Codec.load(model)
    prompts = {
        problem.problem_id: codec.prompt(
            problem,
            task.spec.prompt,
            chat=config.protocol.chat,
            force_think=config.protocol.force_think,
        )
        for task in tasks
        for problem in task.problems
    }
    longest = max(prompts.values(), key=lambda prompt: len(prompt.token_ids))
    if len(longest.token_ids) > config.protocol.max_prompt_tokens:
        raise ConfigError(
            f"protocol.max_prompt_tokens={config.protocol.max_prompt_tokens}: the prompt of "
            f"{longest.problem_id} has {len(longest.token_ids)} tokens"
        )
    return model, prompts, codec.template_sha256 if config.protocol.chat else None


def _task_info(task: Task, scorer: Scorer) -> TaskInfo:
    return TaskInfo(
        name=task.spec.name,
        selection=task.selection,
        version=task.spec.version,
        scorer=scorer.name,
        problems=len(task.problems),
        full_size=task.full_size,
        definition_sha256=definition_sha256(task.spec),
        problems_sha256=task.full_sha256,
        subset_sha256=task.subset_sha256,
        origin=task.origin,
    )


# --- running ----------------------------------------------------------------------------------


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


def questions_of(
    problems: dict[str, Problem], prompts: dict[str, Prompt], scorers: dict[str, Scorer]
) -> dict[str, Question]:
    """What scoring needs to know of each problem."""
    return {
        problem_id: Question(
            problem, prompts[problem_id].opened_think, scorers[problem_id.partition("/")[0]]
        )
        for problem_id, problem in problems.items()
    }


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
    log.warning("everything up to here is kept; go on with: harness run resume=%s", setup.run.run_id)


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
