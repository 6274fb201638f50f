"""Prepares a new run: its checks, problems, prompts, folder and manifest."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from harness.config.settings import RunConfig
from harness.engines.build import engine_origin
from harness.errors import ConfigError
from harness.machine import hardware
from harness.machine.provenance import Provenance, collect
from harness.models import ResolvedModel
from harness.records import Prompt
from harness.runner.decisions import refuse_other_recording
from harness.runner.duration import expect
from harness.runner.graders import contexts, start_scorers
from harness.runner.preflight import (
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
from harness.runner.prepared import PreparedRun
from harness.runner.shards import count_own
from harness.runner.smoke_test import check_scorers, is_wanted
from harness.scorers.base import Scorer
from harness.scorers.build import scorer_origin
from harness.store.fingerprint import DATE, Rendering, fingerprint, protocol_fields
from harness.store.manifest import SCHEMA_VERSION, ExpectedTime, RunManifest, TaskInfo
from harness.store.run_files import Run, create_run
from harness.tasks import Task, definition_sha256, load_task, package_of

log = logging.getLogger(__name__)


def prepare_new(
    config: RunConfig, recording: Run | None, results_dir: Path, stack: ExitStack
) -> PreparedRun:
    """Prepares a new run; cheap checks come before anything large is downloaded or loaded.

    Args:
        config: With the engine that is used.
        recording: The run that is replayed.
        results_dir: Gets the run's folder.
        stack: Ends what is started here.
    """
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
    if recording is None:
        model, prompts, rendering = _rendered(config, tasks)
    else:
        model, prompts, rendering = _recorded(recording, config, tasks)
    requests = len(prompts) * config.protocol.samples_per_problem
    if config.shards > requests:
        raise ConfigError(
            f"shards={config.shards}: the run has {requests} requests; use "
            f"at most {requests} shards"
        )
    scorer_contexts = contexts(scorers)
    run = create_run(results_dir, config.model.name, config.engine.kind)
    stack.enter_context(run)
    fields = {
        task.spec.name: protocol_fields(
            task,
            config.protocol,
            rendering,
            scorers[task.spec.name].name,
            scorer_contexts[scorers[task.spec.name].name],
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
        scorer_context=scorer_contexts,
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
    return PreparedRun(run, manifest, problems, prompts, scorers, recording)


def _extensions(config: RunConfig, tasks: Sequence[Task]) -> dict[str, str]:
    """The packages of engine, scorers and tasks that are not built in."""
    used = [(f"engine {config.engine.kind}", engine_origin(config.engine))]
    used += [(f"scorer {name}", scorer_origin(name)) for name in {t.spec.scorer for t in tasks}]
    used += [(f"task {task.spec.name}", package_of(task.spec.name)) for task in tasks]
    return {what: origin for what, origin in sorted(used) if origin is not None}


def _expected(
    config: RunConfig, tasks: list[Task], machine: Provenance, results_dir: Path
) -> ExpectedTime | None:
    """The forecast for this machine, whatever machine ``--dry-run`` planned for."""
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
    """Warns of a slow run or a disk that may fill up; refuses what cannot work."""
    at_most_bytes = written_bytes(config.protocol, requests)
    check_disk(results_dir, at_most_bytes)
    memory = plan_memory(config, machine)
    notes = [] if memory is None else memory_notes(memory, config, requests)
    for note in (*notes, disk_note(results_dir, at_most_bytes)):
        if note is not None:
            log.warning("%s", note)


def _recorded(
    recording: Run, config: RunConfig, tasks: Sequence[Task]
) -> tuple[ResolvedModel, dict[str, Prompt], Rendering]:
    """Model and prompts of a recording.

    Raises:
        ConfigError: It is of another model or protocol, or did not ask these problems.
    """
    manifest, prompts = recording.read_manifest(), recording.read_prompts()
    refuse_other_recording(config, manifest)
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
            f"engine.run={recording.folder}: its {changed[0]} differs from the current task "
            f"({len(changed)} problems differ); use a recording of this version of the task"
        )
    if missing := [problem_id for problem_id in wanted if problem_id not in prompts]:
        raise ConfigError(
            f"engine.run={recording.folder}: it lacks {len(missing)} of the {len(wanted)} "
            f"problems, {missing[0]} among them; choose the tasks that it recorded"
        )
    chosen = {problem_id: prompts[problem_id] for problem_id in wanted}
    fields = manifest.protocol_fields.values()
    dates = {each[DATE] for each in fields if DATE in each}  # one, or none
    rendering = Rendering(
        manifest.template_sha256, manifest.model.reasoning, date=next(iter(dates), None)
    )
    return manifest.model, chosen, rendering


def _rendered(
    config: RunConfig, tasks: Sequence[Task]
) -> tuple[ResolvedModel, dict[str, Prompt], Rendering]:
    """The loaded model, and the prompts as its tokenizer renders them."""
    model, codec = load_checked(config)
    options = {task.spec.name: config.protocol.prompt_options(task) for task in tasks}
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
    # In chat mode the server's template is used, which the server does not report.
    is_known = config.protocol.chat and not config.engine.renders_prompts
    rendering = Rendering(
        template_sha256=codec.template_sha256 if is_known else None,
        reasoning=model.reasoning,
        omitted=config.engine.sampling_omitted,
        date=config.protocol.date.isoformat() if is_known and codec.uses_date else None,
    )
    return model, prompts, rendering


def check_lengths(prompts: Mapping[str, Prompt], limit: int) -> None:
    """Warns of prompts above the limit, which end as errors; refuses a run in which all are."""
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
