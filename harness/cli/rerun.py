"""``harness rerun``: repeats some of a run's requests at another batch size, beside the run.

The run's own files are only read. The repetition works in a scratch folder and becomes one file
in the run's folder when it is whole.
"""

import argparse
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.analysis.rerun.document import (
    SCHEMA_VERSION,
    Fact,
    RerunReport,
    facts_of,
    most_at_once,
)
from harness.analysis.rerun.draw import Selection, select
from harness.analysis.rerun.outcome import Answer, figures_of, pair, strata_of
from harness.config.settings import RunConfig
from harness.engines.base import Clock, Engine
from harness.engines.build import (
    BaseEngineConfig,
    build_engine,
)
from harness.errors import ConfigError, StoreError, UnavailableError, UserError
from harness.io.jsonl import write_atomically
from harness.machine.provenance import Provenance, collect
from harness.models import ResolvedModel, pinned, resolve
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, EngineInfo, GenerationRequest, RequestId, Verdict
from harness.report.rerun import print_rerun
from harness.runner.build_result import scoring_workers
from harness.runner.graders import questions_of, scorer_name_of, start_scorers
from harness.runner.pipeline import (
    Question,
    Scoring,
    build_requests,
    generate,
    judge,
    run_clock,
    score_missing,
)
from harness.runner.preflight import check_memory
from harness.store.manifest import RunManifest, dump_json
from harness.store.progress import RunProgress
from harness.store.run_files import Run, find_run

log = logging.getLogger(__name__)

FOLDER = "reruns"
"""In a run's folder; nothing but this command looks into it."""
DEFAULT_BATCH_SIZE = 1
"""The farthest from any other, and the same batch whatever else is asked."""
BATCH_SIZE_FOR_SINGLES = 8
"""For a run that was itself made one request at a time."""


class Recorded(NamedTuple):
    """What the run has of the requests that are repeated."""

    answers: dict[RequestId, Answer]
    at_once: int | None
    """Of the whole run."""


class Repeated(NamedTuple):
    """What the repetition made."""

    answers: dict[RequestId, Answer]
    regraded: dict[RequestId, Verdict]
    """The run's texts, graded by the same scorers."""
    engine: EngineInfo


class Plan(NamedTuple):
    """What is asked again, and how."""

    run: Run
    manifest: RunManifest
    config: RunConfig
    """The run's, with another batch size."""
    selection: Selection
    batch_size_before: int | None
    batch_size: int
    n: int


def rerun(options: argparse.Namespace) -> int:
    """Repeats requests of a run and reports what differs.

    Raises:
        UserError: ``--n`` or ``--batch-size`` is below 1, or the run cannot be repeated.
        UnavailableError: The engine or the model is not to be had here.
    """
    for name, value in (("--n", options.n), ("--batch-size", options.batch_size)):
        if value is not None and value < 1:
            raise UserError(f"{name}={value}: should be a whole number from 1")
    started_at = datetime.now(UTC)
    plan = _plan(find_run(options.run, options.results_dir), options.n, options.batch_size)
    plan.config.engine.prepare_process()
    machine = collect()
    check_memory(plan.config, machine)
    recorded = _recorded(plan)
    repeated = _repeat(plan, recorded)
    report = _report(plan, recorded, repeated, machine, started_at)
    file = plan.run.folder / FOLDER / f"{report.rerun_id}.json"
    try:
        _write(file, report)
    finally:  # what took long to compute is said even where it cannot be kept
        _print(report, file, as_json=options.json)
    return 0


def _plan(run: Run, n: int, batch_size: int | None) -> Plan:
    manifest = run.read_manifest()
    if not os.access(run.folder, os.W_OK):
        raise StoreError(f"{run.folder}: cannot be written; the repetition is kept there")
    engine, before, batch_size = rebatched(run, manifest.config.engine, batch_size)
    engine.resolved()
    verdicts = run.read_verdicts()
    done = {completion.request_id for completion in run.read_completions()}
    statuses = {key: each.status for key, each in verdicts.items() if key in done}
    selection = select(statuses, n, manifest.config.seed)
    if not selection.chosen:
        raise StoreError(f"run {run.run_id}: no request has a verdict; there is nothing to repeat")
    config = manifest.config.model_copy(update={"engine": engine})
    return Plan(run, manifest, config, selection, before, batch_size, n)


def rebatched(
    run: Run, engine: BaseEngineConfig, batch_size: int | None
) -> tuple[BaseEngineConfig, int | None, int]:
    """The engine with another batch size, the run's own batch size, and the new one."""

    def chosen(before: int | None) -> int:
        if batch_size is not None:
            return batch_size
        return BATCH_SIZE_FOR_SINGLES if before == DEFAULT_BATCH_SIZE else DEFAULT_BATCH_SIZE

    if engine.recording is not None:
        raise UserError(
            f"run {run.run_id}: engine={engine.kind} repeats what another run answered, so there "
            "is no chance in it to measure; give the run that it replays"
        )
    limits = [each for each in (engine.batch_size, engine.sent_at_once) if each]
    before = min(limits, default=None)
    size = chosen(before)
    changed = engine.with_batch_size(size)
    if changed is None:
        raise UserError(
            f"run {run.run_id}: the batch of engine={engine.kind} is not the harness's to set; "
            "give a run of transformers, vllm or vllm_server"
        )
    return changed, before, size


def _recorded(plan: Plan) -> Recorded:
    verdicts = plan.run.read_verdicts()
    spans, answers = [], {}
    for completion in plan.run.read_completions():
        spans.append((completion.started_s, completion.finished_s))
        if completion.request_id in plan.selection.chosen:
            key = completion.request_id
            answers[key] = Answer(completion, verdicts[key])
    return Recorded(answers, most_at_once(spans))


def _repeat(plan: Plan, recorded: Recorded) -> Repeated:
    config, manifest = plan.config, plan.manifest
    prompts = plan.run.read_prompts()
    requests = [
        request
        for request in build_requests(
            list(prompts.values()),
            config.protocol.sampling,
            config.protocol.samples_per_problem,
            config.seed,
        )
        if request.request_id in plan.selection.chosen
    ]
    if len(requests) != len(plan.selection.chosen):
        strange = min(plan.selection.chosen - {request.request_id for request in requests})
        raise StoreError(
            f"{plan.run.folder}/prompts.jsonl: the prompt of {strange} is missing; "
            f"harness validate {plan.run.shown} checks the whole run"
        )
    model = _same_model(plan)
    with ExitStack() as stack:
        names = {task.name: scorer_name_of(task.scorer) for task in manifest.tasks}
        scorers = start_scorers(config, names, stack)
        questions = questions_of(
            plan.run.read_problems(), prompts, scorers, manifest.model.reasoning
        )
        infos: list[EngineInfo] = []
        open_engine = partial(_opened, config, model, run_clock(0.0), infos)
        answers = _generated(requests, open_engine, questions, scoring_workers(config))
        with ThreadPoolExecutor(scoring_workers(config)) as threads:
            before = [answer.completion for answer in recorded.answers.values()]
            regraded = list(threads.map(partial(_judged, questions), before))
    return Repeated(answers, {each.request_id: each for each in regraded}, infos[-1])


def _generated(
    requests: Sequence[GenerationRequest],
    open_engine: Callable[[], AbstractContextManager[Engine]],
    questions: dict[str, Question],
    workers: int,
) -> dict[RequestId, Answer]:
    """Generates and grades as a run does, in a folder that goes when it is read."""
    with tempfile.TemporaryDirectory(prefix="gegenprobe-rerun-") as scratch:
        run = Run(Path(scratch))
        progress = RunProgress(total=len(requests), done=0)
        with run, progress, Scoring(run, questions, progress, workers) as scoring:
            generate(run, requests, open_engine, scoring, progress)
            score_missing(run, scoring)
        verdicts = run.read_verdicts()
        return {
            completion.request_id: Answer(completion, verdicts[completion.request_id])
            for completion in run.read_completions()
        }


def _judged(questions: dict[str, Question], completion: Completion) -> Verdict:
    return judge(questions[completion.request_id.problem_id], completion)


def _same_model(plan: Plan) -> ResolvedModel:
    """The run's model as it lies here.

    Raises:
        StoreError: It has other weights now.
        UnavailableError: It is not to be had here.
    """
    was = plan.manifest.model
    try:
        model = resolve(pinned(plan.config.model, was), with_weights=plan.config.engine.is_local)
    except ConfigError as error:  # right when the run was made, so it is this machine's lack
        raise UnavailableError(f"run {plan.run.run_id}: {error}") from error
    if (was.sha256, was.revision) != (model.sha256, model.revision):
        raise StoreError(
            f"run {plan.run.run_id} was made with weights of sha256 {str(was.sha256)[:12]} "
            f"(revision {was.revision}), {model.path} has {str(model.sha256)[:12]} (revision "
            f"{model.revision}); restore the original weights to measure run-to-run noise"
        )
    # Its thoughts are read as they were then; None: as its tokenizer shows.
    return model.model_copy(update={"reasoning": was.reasoning or model.reasoning})


@contextmanager
def _opened(
    config: RunConfig, model: ResolvedModel, clock: Clock, infos: list[EngineInfo]
) -> Iterator[Engine]:
    log.info("loading %s", model.name)
    codec = Codec.load(model)
    engine = build_engine(config.engine, model, codec, clock, config.protocol.context_tokens)
    with engine:
        infos.append(engine.info())
        try:
            yield engine
        finally:
            infos[-1] = engine.info()  # peak memory is only known now


# --- what came of it --------------------------------------------------------------------------


def _report(
    plan: Plan,
    recorded: Recorded,
    repeated: Repeated,
    machine: Provenance,
    started_at: datetime,
) -> RerunReport:
    pairs = [
        pair(
            answer.verdict.status,
            Answer(answer.completion, repeated.regraded[key]),
            repeated.answers[key],
        )
        for key, answer in sorted(recorded.answers.items())
    ]
    completions = [repeated.answers[each.request_id].completion for each in pairs]
    at_once = most_at_once([(each.started_s, each.finished_s) for each in completions])
    facts = facts_of(plan.manifest.sessions, repeated.engine, machine)
    return RerunReport(
        schema_version=SCHEMA_VERSION,
        rerun_id=f"{started_at:%Y%m%dT%H%M%SZ}_{secrets.token_hex(3)}",
        run_id=plan.run.run_id,
        started_at=started_at,
        finished_at=datetime.now(UTC),
        asked=plan.n,
        seed=plan.config.seed,
        batch_size_before=plan.batch_size_before,
        batch_size_after=plan.batch_size,
        at_once_before=recorded.at_once,
        at_once_after=at_once,
        engine=repeated.engine,
        provenance=machine,
        facts=facts,
        notes=tuple(_notes(plan, recorded.at_once, at_once, facts)),
        left_out_errors=plan.selection.errors,
        regraded_otherwise=sum(each.before != each.recorded for each in pairs),
        figures=figures_of(pairs, plan.selection),
        strata=strata_of(pairs, plan.selection),
        pairs=tuple(pairs),
        completions=tuple(completions),
        verdicts=tuple(repeated.answers[each.request_id].verdict for each in pairs),
    )


def _notes(
    plan: Plan, at_once_before: int | None, at_once_after: int | None, facts: Sequence[Fact]
) -> Iterator[str]:
    selection = plan.selection
    if plan.n > selection.total:
        yield f"--n={plan.n} is more than there are: all {selection.total} requests were repeated"
    if plan.manifest.status != "complete":
        yield f"the run is {plan.manifest.status}: only what it had recorded was drawn from"
    if selection.errors:
        yield f"{selection.errors} requests of the run ended in errors and were not drawn"
    if skipped := [f"{k.task} {k.status}" for k, count in selection.drawn.items() if not count]:
        yield f"too few for every stratum; nothing was drawn from {', '.join(skipped)}"
    if at_once_after is not None and at_once_before == at_once_after:
        yield f"{at_once_after} at once, as in the run: this shows less than another batch size"
    if others := [fact.name for fact in facts if fact.differs and fact.name != "git commit"]:
        yield f"not the batch alone differs, but also: {', '.join(others)}"


def _write(file: Path, report: RerunReport) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{file.parent}: cannot be made: {error.strerror}") from error
    write_atomically(file, report.model_dump_json(indent=1))


def _print(report: RerunReport, file: Path, *, as_json: bool) -> None:
    if as_json:
        shown = report.model_dump(mode="json", exclude={"completions", "verdicts"})
        print(dump_json({"path": str(file), **shown}))  # noqa: T201
    else:
        print_rerun(report, file)
