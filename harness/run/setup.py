"""A run made ready: a new one, or one that was stopped, with its scorers running."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from harness.config.changes import NOT_RECORDED, config_changes, deciding, recorded, worded
from harness.config.settings import RunConfig, differing_keys
from harness.engines.build import engine_origin
from harness.errors import ConfigError, StoreError
from harness.io.paths import default_results_dir
from harness.machine import hardware
from harness.machine.provenance import Provenance, collect
from harness.models import ResolvedModel
from harness.records import Problem, Prompt, task_of
from harness.run.duration import expect
from harness.run.pipeline import Question
from harness.run.preflight import (
    check_disk,
    check_memory,
    check_requirements,
    disk_note,
    is_offline,
    load_checked,
    memory_notes,
    plan_memory,
    refuse_missing,
    written_bytes,
)
from harness.run.result import scoring_workers
from harness.run.shards import count_own
from harness.run.smoke_test import check_scorers, is_wanted
from harness.scorers.answers.marks import Reasoning
from harness.scorers.base import Scorer
from harness.scorers.build import build_scorer, find_definition, scorer_origin
from harness.store.fingerprint import DATE, Rendering, fingerprint, protocol_fields
from harness.store.manifest import SCHEMA_VERSION, ExpectedTime, RunManifest, TaskInfo
from harness.store.run_files import Run, complete_runs, create_run, find_run, unfinished_runs
from harness.tasks import Task, definition_sha256, load_task

log = logging.getLogger(__name__)


class Setup(NamedTuple):
    """A run that is ready to generate what is missing."""

    run: Run
    manifest: RunManifest
    problems: dict[str, Problem]
    prompts: dict[str, Prompt]
    scorers: dict[str, Scorer]
    """By task."""
    regrade: bool = False
    """The recorded verdicts are of other scorers than these."""
    retries: bool = False
    """Requests that failed are asked again."""


def results_dir_of(config: RunConfig) -> Path:
    """Where this configuration keeps its runs."""
    named = config.results_dir
    return default_results_dir() if named is None else Path(named).expanduser().resolve()


def set_up(config: RunConfig, results_dir: Path, stack: ExitStack) -> Setup:
    """Makes a new run; fails on what can fail cheaply before it fetches or loads anything large."""
    machine = collect()
    check_requirements(config, machine)
    config.engine.check_devices(hardware.cuda_devices())
    if is_offline(config):
        refuse_missing(config)
    else:
        config.engine.check_draft()
    check_memory(config, machine)
    check_disk(results_dir)
    tasks = [
        load_task(selection, config.data_path, config.protocol.shots)
        for selection in config.selections
    ]
    scorers = start_scorers(config, {task.spec.name: task.spec.scorer for task in tasks}, stack)
    problems_asked = sum(len(task.problems) for task in tasks)
    requests = problems_asked * config.protocol.samples_per_problem
    _check_amounts(config, machine, results_dir, requests)
    if is_wanted(config, requests):
        check_scorers(tasks, scorers)
    model, prompts, rendering = _prompts(config, tasks)
    requests = len(prompts) * config.protocol.samples_per_problem
    if config.shards > requests:
        raise ConfigError(
            f"shards={config.shards}: the run has {requests} requests; give so many or fewer"
        )
    run = create_run(results_dir, config.model.name, config.engine.kind)
    stack.enter_context(run)
    fields = {
        task.spec.name: protocol_fields(
            task,
            config.protocol,
            rendering,
            scorers[task.spec.name].name,
            scorers[task.spec.name].context(),
            config.shard_name,
        )
        for task in tasks
    }
    manifest = RunManifest(
        schema_version=SCHEMA_VERSION,
        run_id=run.run_id,
        status="running",
        config=config,
        model=model,
        template_sha256=rendering.template_sha256,
        tasks=tuple(_task_info(task, scorers[task.spec.name]) for task in tasks),
        protocol_fingerprints={name: fingerprint(each) for name, each in fields.items()},
        protocol_fields=fields,
        scorer_context=contexts(scorers),
        sessions=(),
        provenance=machine,
        started_at=datetime.now(UTC),
        finished_at=None,
        error=None,
        expected=_expected(config, tasks, machine, results_dir),
        extensions=_extensions(config, tasks),
    )
    problems = {problem.problem_id: problem for task in tasks for problem in task.problems}
    run.write_problems(list(problems.values()))
    run.write_prompts(list(prompts.values()))
    run.write_manifest(manifest)
    return Setup(run, manifest, problems, prompts, scorers)


def _extensions(config: RunConfig, tasks: Sequence[Task]) -> dict[str, str]:
    """The packages that the engine and the scorers come from, where they are not built in."""
    used = [(f"engine {config.engine.kind}", engine_origin(config.engine))]
    used += [(f"scorer {name}", scorer_origin(name)) for name in {t.spec.scorer for t in tasks}]
    return {what: origin for what, origin in sorted(used) if origin is not None}


def _expected(
    config: RunConfig, tasks: list[Task], machine: Provenance, results_dir: Path
) -> ExpectedTime | None:
    """Of this machine, whatever ``--dry-run`` was to reckon with."""
    samples = config.protocol.samples_per_problem
    asked = {task.spec.name: samples * len(task.problems) for task in tasks}
    here = config.model_copy(update={"plan_for": None})
    found = expect(here, count_own(asked, config), machine, results_dir)
    if isinstance(found, str):
        log.info("how long it takes is not known: %s", found)
        return None
    return found


def _check_amounts(
    config: RunConfig, machine: Provenance, results_dir: Path, requests: int
) -> None:
    """Warns of what will be slow, or full in the end; refuses what cannot be."""
    at_most_bytes = written_bytes(config.protocol, requests)
    check_disk(results_dir, at_most_bytes)
    memory = plan_memory(config, machine)
    notes = [] if memory is None else memory_notes(memory, config, requests)
    for note in (*notes, disk_note(results_dir, at_most_bytes)):
        if note is not None:
            log.warning("%s", note)


def reopen(run: Run, config: RunConfig, stack: ExitStack) -> Setup:
    """Makes a stopped run ready to go on.

    Args:
        run: As ``find_unfinished`` found it.
        config: Holds from now on.
        stack: Ends what is started here.

    Raises:
        StoreError: Another process writes it.
    """
    stack.enter_context(run)
    manifest = run.read_manifest()  # again: only under the lock is it the last word
    for note in run.cut_torn_lines():
        log.warning("%s", note)
    manifest = _with_config(manifest, config)
    names = {task.name: scorer_name_of(task.scorer) for task in manifest.tasks}
    scorers = start_scorers(manifest.config, names, stack)
    regrade = contexts(scorers) != manifest.scorer_context
    if regrade:
        log.warning("the scorers or their settings changed since; everything is graded anew")
    update: dict[str, object] = {"status": "running", "error": None}
    sessions = len(manifest.sessions)
    if manifest.status == "complete" and sessions not in manifest.complete_after:
        update["complete_after"] = (*manifest.complete_after, sessions)
    manifest = manifest.model_copy(update=update)
    run.write_manifest(manifest)
    return Setup(
        run=run,
        manifest=manifest,
        problems=run.read_problems(),
        prompts=run.read_prompts(),
        scorers=scorers,
        regrade=regrade,
        retries=config.retry is not None,
    )


def _with_config(manifest: RunManifest, config: RunConfig) -> RunManifest:
    """The manifest under a configuration that changes no answer, with what it changes on record."""
    was = manifest.config
    changes = recorded(config_changes(was, config), len(manifest.sessions))
    if not changes:
        return manifest
    log.info("the run goes on with other values: %s", worded(changes))
    kept = {name: getattr(was, name) for name in NOT_RECORDED}
    return manifest.model_copy(
        update={
            "config": config.model_copy(update=kept),
            "config_changes": (*manifest.config_changes, *changes),
        }
    )


def find_unfinished(config: RunConfig, results_dir: Path) -> Run | None:
    """The run that ``resume`` means; None for a new one.

    Raises:
        ConfigError: Values that decide answers differ from the recorded ones; lists them.
        StoreError: There is no such run.
    """
    if config.resume is None:
        return None
    if config.resume == "auto":
        return _find_same(config, results_dir)
    try:
        run = find_run(config.resume, results_dir)
    except StoreError as error:
        raise StoreError(f"resume={error}") from error
    manifest = run.read_manifest()
    if manifest.is_refused:
        raise StoreError(
            f"resume={config.resume}: its known problems showed a fault, which its prompts may "
            "have too, and nothing else was generated; start a new run"
        )
    if config.retry is not None and manifest.merged_from:
        raise StoreError(
            f"retry={config.retry}: run {run.run_id} was merged; retry its parts that have failed "
            f"requests ({', '.join(manifest.merged_from)}), then join all with harness merge"
        )
    if refused := deciding(config_changes(manifest.config, config)):
        raise ConfigError(
            f"resume={config.resume}: {worded(refused)}; answers depend on it, so leave it as it "
            f"was (harness run resume={config.resume} alone) or start a new run"
        )
    return run


def _find_same(config: RunConfig, results_dir: Path) -> Run | None:
    """The newest unfinished run of this very configuration that no process writes."""
    near: tuple[Run, str] | None = None
    for run, manifest in unfinished_runs(results_dir):
        if manifest.is_refused:
            continue
        if differing_keys(config, manifest.config):
            changes = config_changes(manifest.config, config)
            if near is None and not deciding(changes):
                near = run, worded(recorded(changes, 0))
        # Looking takes the lock for a moment: of another shard's run it would be in its way.
        elif not run.is_being_written():
            return run
    log.info("resume=auto: no unfinished run with this configuration; starting a new one")
    if near is not None:
        run, words = near
        log.info("resume=%s with the same command would go on with that run (%s)", run.shown, words)
    return None


def find_finished_shard(config: RunConfig, results_dir: Path) -> Run | None:
    """With ``resume=auto``: this shard, if it is done and no run was merged from it yet."""
    if config.shard is None or config.resume != "auto":
        return None
    done = complete_runs(results_dir)
    merged = {run_id for _, manifest in done for run_id in manifest.merged_from}
    for run, manifest in done:
        if run.run_id not in merged and not differing_keys(config, manifest.config):
            return run
    return None


def start_scorers(config: RunConfig, names: dict[str, str], stack: ExitStack) -> dict[str, Scorer]:
    """The scorer of each task, its processes running until the stack unwinds."""
    started: dict[str, Scorer] = {}
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


def scorer_name_of(versioned: str) -> str:
    """``math_answer@3`` → ``math_answer``."""
    if (found := find_definition(versioned)) is None:
        raise StoreError(f"scorer '{versioned}' is not known to this harness")
    return found.name


def _prompts(
    config: RunConfig, tasks: Sequence[Task]
) -> tuple[ResolvedModel, dict[str, Prompt], Rendering]:
    if (replayed := config.engine.recording) is not None:
        recording = find_run(replayed, results_dir_of(config))
        manifest, prompts = recording.read_manifest(), recording.read_prompts()
        differing = [
            key
            for key in differing_keys(config, manifest.config)
            if key.partition(".")[0] in {"model", "protocol", "seed"}
        ]
        if differing:
            raise ConfigError(
                f"engine.run={replayed}: it was made with other values of "
                f"{', '.join(differing)}; a recording answers for its own model and protocol alone"
            )
        wanted = [problem.problem_id for task in tasks for problem in task.problems]
        asked = recording.read_problems()
        changed = [
            problem.problem_id
            for task in tasks
            for problem in task.problems
            if asked.get(problem.problem_id, problem) != problem
        ]
        if changed:
            raise ConfigError(
                f"engine.run={replayed}: it asked another {changed[0]} than the task has "
                f"today ({len(changed)} problems differ)"
            )
        if missing := [problem_id for problem_id in wanted if problem_id not in prompts]:
            raise ConfigError(
                f"engine.run={replayed}: it did not ask {len(missing)} of the "
                f"{len(wanted)} problems, {missing[0]} among them; choose the tasks it asked"
            )
        chosen = {problem_id: prompts[problem_id] for problem_id in wanted}
        fields = manifest.protocol_fields.values()
        dates = {each[DATE] for each in fields if DATE in each}  # one, or none
        rendering = Rendering(
            manifest.template_sha256, manifest.model.reasoning, date=next(iter(dates), None)
        )
        return manifest.model, chosen, rendering
    model, codec = load_checked(config)
    options = {task.spec.name: config.protocol.prompt_options(task.examples) for task in tasks}
    for each in options.values() if config.protocol.chat else ():
        codec.check_options(each)
    prompts = {
        problem.problem_id: codec.prompt(
            problem,
            task.spec.prompt,
            chat=config.protocol.chat,
            force_think=config.protocol.force_think,
            options=options[task.spec.name],
        )
        for task in tasks
        for problem in task.problems
    }
    check_lengths(prompts, config.protocol.max_prompt_tokens)
    model = model.model_copy(update={"reasoning": codec.reasoning})
    # In chat mode the server's template is used, and nobody tells which that is.
    is_known = config.protocol.chat and not config.engine.renders_prompts
    rendering = Rendering(
        template_sha256=codec.template_sha256 if is_known else None,
        reasoning=model.reasoning,
        omitted=config.engine.sampling_omitted,
        date=config.protocol.date.isoformat() if is_known and codec.uses_date else None,
    )
    return model, prompts, rendering


def check_lengths(prompts: Mapping[str, Prompt], limit: int) -> None:
    """Prompts above the limit end as errors of their own, unless all are."""
    lengths = {name: len(prompt.token_ids) for name, prompt in prompts.items()}
    longest = max(lengths, key=lengths.__getitem__)
    too_long = sum(length > limit for length in lengths.values())
    words = (
        f"protocol.max_prompt_tokens={limit}: {too_long} of {len(lengths)} prompts are longer, the "
        f"longest, of {longest}, has {lengths[longest]} tokens"
    )
    if too_long == len(lengths):
        raise ConfigError(words)
    if too_long:
        log.warning("%s; they will end as errors", words)


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
        examples=tuple(example.example_id for example in task.examples),
    )


def questions_of(
    problems: dict[str, Problem],
    prompts: dict[str, Prompt],
    scorers: dict[str, Scorer],
    reasoning: Reasoning,
) -> dict[str, Question]:
    """What scoring needs to know of each problem; ``reasoning`` is the model's marks."""
    return {
        problem_id: Question(
            problem,
            prompts[problem_id].opened_think,
            scorers[task_of(problem_id)],
            reasoning,
        )
        for problem_id, problem in problems.items()
    }


def with_scorers(manifest: RunManifest, scorers: dict[str, Scorer]) -> RunManifest:
    """The manifest as if the run had been scored by these from the start."""
    context = contexts(scorers)
    fields = {}
    for task, old in manifest.protocol_fields.items():
        scorer = scorers[task].name
        kept = {key: value for key, value in old.items() if not key.startswith("scorer")}
        added = {f"scorer.{key}": value for key, value in sorted(context[scorer].items())}
        fields[task] = {**kept, "scorer": scorer, **added}
    return manifest.model_copy(
        update={
            "tasks": tuple(
                task.model_copy(update={"scorer": scorers[task.name].name})
                for task in manifest.tasks
            ),
            "protocol_fields": fields,
            "protocol_fingerprints": {task: fingerprint(each) for task, each in fields.items()},
            "scorer_context": context,
        }
    )
