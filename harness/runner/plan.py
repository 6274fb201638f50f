"""Plans of ``harness run --dry-run``: what a run would do, without loading or downloading."""

import math
import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from harness.config.settings import ProtocolConfig, RunConfig
from harness.errors import StoreError, UnavailableError
from harness.io.terminal import open_console
from harness.machine import hardware
from harness.machine.provenance import Provenance, collect
from harness.models import LocalModel, RemoteModel, is_here, origin
from harness.models.chat_tokenizer import Codec
from harness.models.memory import unquantised_bytes
from harness.runner.decisions import results_dir_of, with_engine
from harness.runner.duration import expect
from harness.runner.forecast import PlannedTask, forecast_notes, forecast_table
from harness.runner.preflight import (
    FreeMemory,
    check_disk,
    check_memory,
    check_requirements,
    disk_note,
    draft_to_fetch,
    free_memory,
    is_offline,
    is_on_cpu,
    load_checked,
    memory_needed_bytes,
    memory_notes,
    no_network,
    plan_memory,
    refuse_missing,
    written_bytes,
)
from harness.runner.shards import count_own
from harness.runner.smoke_test import is_wanted
from harness.runner.summary import duration
from harness.runner.workers import share_out
from harness.store.manifest import ExpectedTime
from harness.tasks import Selection, Task, load_spec, load_task, planned_origin


class PlannedRun(NamedTuple):
    """The plan of one run."""

    lines: list[str]
    prompt: list[str]
    """The first prompt, as far as it is known."""
    requests: int | None
    output_tokens: int | None
    """The most output tokens that the run may generate."""
    to_fetch: dict[str, int | None]
    """Bytes to download, by name; None: unknown."""
    expected: ExpectedTime | None
    """The expected duration; None: unknown."""
    why_no_time: str | None
    """Why the duration is unknown."""
    memory_bytes: int | None
    """Memory of weights and one context; None: unknown."""
    refusals: tuple[str, ...]
    """Reasons why this machine cannot run it."""


class Plans:
    """The plans of one command: the first is printed whole, later ones only where they differ."""

    def __init__(self) -> None:
        self._first: set[str] = set()
        self._planned: list[PlannedRun] = []
        # read once, so that all jobs of a sweep are planned on the same machine
        self._free = free_memory()
        self._machine = collect()

    def show(self, config: RunConfig) -> None:
        """Prints the plan of a run to stdout, also where this machine could not run it.

        On a machine that could not run it too: the reason stands in the plan.
        """
        planned = plan(config, self._free, self._machine)
        lines = planned.lines + planned.prompt
        if self._planned:
            lines = [line for line in planned.lines if _words(line) not in self._first]
        else:
            self._first = {_words(line) for line in lines}
        self._planned.append(planned)
        _print(lines)

    def close(self, jobs: int) -> None:
        """Prints the totals over all jobs of a sweep; some may have no plan."""
        requests = _sum([planned.requests for planned in self._planned])
        tokens = _sum([planned.output_tokens for planned in self._planned])
        to_fetch: dict[str, int | None] = {}
        for planned in self._planned:
            # A server's model is fetched without its weights, and perhaps whole by another job.
            to_fetch |= {n: size or to_fetch.get(n) for n, size in planned.to_fetch.items()}
        lacking = jobs - len(self._planned)
        lack = f"; {lacking} of {jobs} jobs have no plan and are not in it" if lacking else ""
        _print(
            [
                "",
                f"total      {len(self._planned)} runs, {_count(requests)} requests, "
                f"{_count(tokens)} output tokens at most{lack}",
                *_time_in_all([planned.expected for planned in self._planned]),
                *(f"to fetch   {_sized(*item)}" for item in to_fetch.items()),
                *_fetched_in_all(to_fetch),
            ]
        )


def _fetched_in_all(to_fetch: dict[str, int | None]) -> list[str]:
    known = [size for size in to_fetch.values() if size is not None]
    if not to_fetch:
        return ["to fetch   nothing"]
    unknown = ", without what is of unknown size" if len(known) < len(to_fetch) else ""
    return [f"in all     about {sum(known) / 1e9:.1f} GB{unknown}"] if known else []


def _time_in_all(expected: list[ExpectedTime | None]) -> list[str]:
    """The expected time of all jobs, one after another."""
    known = [each for each in expected if each is not None]
    if not known:
        return []
    load_s = sum(each.load_s for each in known)
    low, middle, high = (
        load_s + sum(seconds)
        for seconds in zip(
            *((e.generation_low_s, e.generation_s, e.generation_high_s) for e in known),
            strict=True,
        )
    )
    prices = [each.usd for each in known if each.usd is not None]
    usd = f", {sum(prices):.2f} USD" if len(prices) == len(known) else ""
    lack = f", without {len(expected) - len(known)} runs" if len(known) < len(expected) else ""
    return [f"time       about {duration(middle)} ({duration(low)} to {duration(high)}){usd}{lack}"]


def _words(line: str) -> str:
    """A table as text; columns are as wide as their texts."""
    return " ".join(line.split())


def _print(lines: list[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201
    sys.stdout.flush()  # a sweep's mistakes go to stderr between them


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def plan(config: RunConfig, free: FreeMemory, machine: Provenance | None = None) -> PlannedRun:
    """The plan of a run with this configuration on this machine.

    Args:
        config: Of the run.
        free: Memory of this machine.
        machine: As `collect` describes it; None: it is called here.
    """
    machine = machine or collect()
    refusals: list[str] = []
    as_asked = config
    try:
        config, why = with_engine(config)
    except UnavailableError as error:
        why = f"engine={config.engine.kind}, as asked"
        refusals.append(str(error))
    engine = config.engine
    lines = [f"model      {config.model.name}: {origin(config.model)}", f"engine     {why}"]
    with_weights = engine.is_local
    codec = _codec(config)
    to_fetch: dict[str, int | None] = {}
    if engine.recording is None and not _is_on_disk(config, with_weights=with_weights):
        size = config.model.parameters if with_weights else None
        to_fetch[origin(config.model)] = unquantised_bytes(size) if size else None
    if (draft := draft_to_fetch(engine)) is not None:
        unpinned = ", unpinned" if draft.revision is None else ""
        to_fetch[f"{draft}{unpinned} (Hugging Face hub, by vLLM)"] = None
    loaded: list[Task] = []
    counts: list[int | None] = []
    planned: list[PlannedTask] = []
    for selection in config.selections:
        task, count, line, fetch = _plan_task(selection, config)
        lines.append(line)
        counts.append(count)
        planned += _sizes(selection, task, count, config)
        loaded += [task] if task else []
        to_fetch |= {fetch: None} if fetch else {}
    lines += _included(config)
    protocol = config.protocol
    problems = _sum(counts)
    requests = None if problems is None else problems * protocol.samples_per_problem
    if config.shards > 1:
        which = "all at once on this machine" if config.shard is None else f"this is {config.shard}"
        lines.append(f"shards     {config.shards}, {which}")
    requests = _of_shard(config, requests)
    tokens = None if requests is None else requests * protocol.max_new_tokens
    memory_bytes = _memory_bytes(config, machine, free)
    lines += [*_amounts(config, requests, tokens), _memory(memory_bytes)]
    # An engine that was left open is chosen where the run will be.
    expected = _expected(as_asked, counts, machine)
    lines += [f"time       unknown: {expected}"] if isinstance(expected, str) else _time(expected)
    if is_offline(config):  # what is missing is why it cannot run
        to_fetch = {}
    lines.append(f"to fetch   {'; '.join(_sized(*item) for item in to_fetch.items()) or 'nothing'}")
    refusals += _refusals(config, machine, free, requests)
    lines += _notes(config, machine, free, requests)
    lines += [f"cannot run {line}" for refusal in refusals for line in refusal.split("\n")] or [
        "can run    yes, as far as is known"
    ]
    lines += _forecast(planned, protocol)
    known, why_not = (None, expected) if isinstance(expected, str) else (expected, None)
    return PlannedRun(
        lines,
        _first_prompt(config, codec, loaded),
        requests,
        tokens,
        to_fetch,
        known,
        why_not,
        memory_bytes,
        tuple(refusals),
    )


def _included(config: RunConfig) -> list[str]:
    """A line for each ``--include`` folder that the run uses."""
    things: dict[str, list[str]] = {}
    for name, each in config.included.items():
        things.setdefault(each.folder, []).append(name)
    return [f"from       {folder}: {', '.join(names)}" for folder, names in things.items()]


def _expected(
    config: RunConfig, counts: list[int | None], machine: Provenance
) -> ExpectedTime | str:
    """The expected duration; for a shard, that of its part of every task."""
    samples = config.protocol.samples_per_problem
    asked = {
        selection.task: samples * count
        for selection, count in zip(config.selections, counts, strict=True)
        if count is not None
    }
    if len(asked) < len(counts):
        return "how many problems there are is not known"
    return expect(config, count_own(asked, config), machine, results_dir_of(config))


def _time(expected: ExpectedTime) -> list[str]:
    middle = expected.load_s + expected.generation_s
    low = expected.load_s + expected.generation_low_s
    high = expected.load_s + expected.generation_high_s
    rent = "unknown: no price is for it" if expected.usd is None else f"{expected.usd:.2f} USD"
    factor = expected.generation_high_s / expected.generation_s
    return [
        f"time       about {duration(middle)} ({duration(low)} to {duration(high)}), of which "
        f"{expected.load_s:.0f} s load the model; rent {rent}",
        f"           by {expected.basis}, right within a factor of {factor:.2g}: {expected.source}",
    ]


def _refusals(
    config: RunConfig, machine: Provenance, free: FreeMemory, requests: int | None
) -> list[str]:
    """Reasons why this machine cannot run it."""
    try:
        check_requirements(config, machine)
    except UnavailableError as error:
        return [str(error)]  # what else another machine than the one meant lacks says nothing
    at_most = None if requests is None else written_bytes(config.protocol, requests)
    checks: tuple[Callable[[], object], ...] = (
        _check_workers(config),
        partial(check_memory, config, machine, free),
        partial(check_disk, results_dir_of(config), at_most),
        *([partial(refuse_missing, config)] if is_offline(config) else []),
    )
    refusals = []
    for check in checks:
        try:
            check()
        except (UnavailableError, StoreError) as error:
            refusals.append(str(error))
    return refusals


def _check_workers(config: RunConfig) -> Callable[[], object]:
    """The devices of one worker, or of all that would start on this machine."""
    if config.is_divided:
        return partial(share_out, config.engine, config.shards)
    return partial(config.engine.check_devices, hardware.cuda_devices())


def _of_shard(config: RunConfig, requests: int | None) -> int | None:
    """The number of requests of this worker; None where unknown."""
    if config.shard is None or requests is None:
        return requests
    return len(range(config.shard, requests, config.shards))


def _notes(
    config: RunConfig, machine: Provenance, free: FreeMemory, requests: int | None
) -> list[str]:
    """Notes on memory and disk for a run that is possible."""
    lines: list[str] = []
    notes: list[str | None] = []
    memory = plan_memory(config, machine, free)
    if memory is not None and memory.contexts:
        served = min(each for each in (memory.at_once, requests) if each is not None)
        contexts = "1 full context" if memory.contexts == 1 else f"{memory.contexts} full contexts"
        lines.append(
            f"at once    {_count(served)} requests; memory beside the weights holds {contexts} of "
            f"{memory.context_bytes / 1e9:.2f} GB"
        )
        notes += memory_notes(memory, config, requests) if memory.contexts else []
    if requests is not None:
        at_most = written_bytes(config.protocol, requests)
        lines.append(f"disk       {math.ceil(at_most / 1e6):,} MB at most")
        notes.append(disk_note(results_dir_of(config), at_most))
        sends = "3 known problems first" if is_wanted(config, requests) else "none"
        lines.append(f"canary     {sends}")
    return lines + [f"mind       {note}" for note in notes if note is not None]


def _plan_task(
    selection: Selection, config: RunConfig
) -> tuple[Task | None, int | None, str, str | None]:
    spec = load_spec(selection.task)
    where, needs_network = planned_origin(spec, config.data_path)
    if needs_network:
        count = selection.size if selection.size is not None else spec.problems
        line = f"task       {selection}: {_count(count)} problems from {where}"
        return None, count, line, f"{spec.name} from {where}"
    task = load_task(selection, config.data_path, config.protocol.shots)
    line = f"task       {selection}: {len(task.problems)} of {task.full_size} problems from {where}"
    return task, len(task.problems), line, None


def _sizes(
    selection: Selection, task: Task | None, count: int | None, config: RunConfig
) -> list[PlannedTask]:
    """The task, with the sizes that are known before a download."""
    full = load_spec(selection.task).problems if task is None else task.full_size
    if count is None or full is None:
        return []
    purpose = (config.purpose or {}).get(selection.task)
    return [PlannedTask(str(selection), count, full, purpose)]


def _forecast(planned: list[PlannedTask], protocol: ProtocolConfig) -> list[str]:
    if not planned:
        return []
    console = open_console()
    with console.capture() as table:
        console.print(forecast_table(planned, protocol))
    return ["", *table.get().splitlines(), "", *forecast_notes(planned, protocol), ""]


def _amounts(config: RunConfig, requests: int | None, tokens: int | None) -> list[str]:
    protocol = config.protocol
    sampled = (
        "greedy"
        if protocol.temperature == 0
        else (f"temperature {protocol.temperature}, top_p {protocol.top_p}")
    )
    samples = _samples(protocol.samples_per_problem)
    return [
        f"protocol   {protocol.name}: {sampled}, {samples} a problem, "
        f"{protocol.max_new_tokens} new tokens at most",
        *(f"           {name}={value}" for name, value in protocol.options.items()),
        f"in all     {_count(requests)} requests, {_count(tokens)} output tokens at most",
    ]


def _memory(needed: int | None) -> str:
    size = "unknown" if needed is None else f"{needed / 1e9:.1f} GB for weights and one context"
    return f"memory     {size}"


def _memory_bytes(config: RunConfig, machine: Provenance, free: FreeMemory) -> int | None:
    """Memory for weights and one context, on the machine that is planned for; None: unknown."""
    needs_gpus = config.requires is not None and config.requires.gpus > 0
    is_meant_here = config.plan_for is None and not needs_gpus
    on_cpu = is_meant_here and is_on_cpu(config.engine, machine, free)
    context_tokens = config.protocol.context_tokens
    return memory_needed_bytes(config.model, config.engine, context_tokens, on_cpu=on_cpu)


def _sized(name: str, size: int | None) -> str:
    return name if size is None else f"{name}, about {size / 1e9:.1f} GB"


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _is_on_disk(config: RunConfig, *, with_weights: bool) -> bool:
    """Whether the model's files are on this disk; a local file may still need converting."""
    is_local = isinstance(config.model, LocalModel)
    return is_local or is_here(config.model, with_weights=with_weights)


def _codec(config: RunConfig) -> Codec | None:
    """The tokenizer, if the model is on this machine; refuses a model that a run would refuse."""
    is_remote = isinstance(config.model, RemoteModel)
    with_weights = config.engine.is_local
    if is_remote or config.engine.recording is not None:
        return None
    if not is_here(config.model, with_weights=with_weights):
        return None
    with no_network():
        return load_checked(config, with_digest=False)[1]


def _first_prompt(config: RunConfig, codec: Codec | None, tasks: list[Task]) -> list[str]:
    if not tasks:
        return ["first prompt: not known before the problems are here"]
    task = tasks[0]
    problem = task.problems[0]
    if codec is None:
        text = task.spec.prompt.replace("{question}", problem.question)
        return [f"first prompt, before the chat template, of {problem.problem_id}:", text]
    options = config.protocol.prompt_options(task)
    if config.protocol.chat:
        codec.check_options(options)
    prompt = codec.prompt(
        problem,
        task.spec.prompt,
        chat=config.protocol.chat,
        force_think=config.protocol.force_think,
        options=options,
    )
    size = len(prompt.token_ids)
    return [f"first prompt, as {size} tokens, of {problem.problem_id}:", prompt.text]
