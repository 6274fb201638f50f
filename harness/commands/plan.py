"""``harness run --dry-run``: what a run would do; loads no model and fetches nothing."""

from rich.console import Console

from harness.config import RunConfig
from harness.engines.build import OpenaiConfig, ReplayConfig, resolve_auto
from harness.errors import UnavailableError
from harness.models import LocalModel, RemoteModel, is_here, origin, resolve
from harness.preflight import check_memory, check_requirements, memory_needed_bytes
from harness.prompts import Codec
from harness.provenance import collect
from harness.report.forecast import PlannedTask, forecast_notes, forecast_table
from harness.report.summary import WIDTH_WITHOUT_TERMINAL
from harness.tasks import Selection, Task, load_spec, load_task, planned_origin


def plan(config: RunConfig) -> int:
    """Prints the plan to stdout.

    Returns:
        0, on a machine that could not run it too: the reason stands in the plan.
    """
    refusals: list[str] = []
    try:
        engine, why = resolve_auto(config.engine)
    except UnavailableError as error:
        engine, why = config.engine, f"engine={config.engine.kind}, as asked"
        refusals.append(str(error))
    config = config.model_copy(update={"engine": engine})
    lines = [f"model      {config.model.name}: {origin(config.model)}", f"engine     {why}"]
    with_weights = not isinstance(engine, OpenaiConfig)
    if isinstance(config.model, LocalModel):
        # says now if it is no checkpoint
        resolve(config.model, with_digest=False, with_weights=with_weights)
    to_fetch = []
    if not isinstance(engine, ReplayConfig) and not is_here(config.model):
        size = config.model.parameters if with_weights else None
        to_fetch.append(origin(config.model) + (f", about {2 * size / 1e9:.1f} GB" if size else ""))
    loaded: list[Task] = []
    counts: list[int | None] = []
    planned: list[PlannedTask] = []
    for selection in config.selections:
        task, count, line, fetch = _plan_task(selection, config)
        lines.append(line)
        counts.append(count)
        planned += _sizes(selection, task, count, config)
        loaded += [task] if task else []
        to_fetch += [fetch] if fetch else []
    lines += _amounts(config, counts)
    lines.append(f"to fetch   {'; '.join(to_fetch) or 'nothing'}")
    machine = collect()
    for check in (check_requirements, check_memory):
        try:
            check(config, machine)
        except UnavailableError as error:
            refusals.append(str(error))
    lines += [f"cannot run {refusal}" for refusal in refusals]
    print("\n".join(lines))  # noqa: T201
    _print_forecast(planned, config)
    print("\n".join(_first_prompt(config, loaded)))  # noqa: T201
    return 0


def _plan_task(
    selection: Selection, config: RunConfig
) -> tuple[Task | None, int | None, str, str | None]:
    spec = load_spec(selection.task)
    where, needs_network = planned_origin(spec, config.data_path)
    if needs_network:
        count = selection.size if selection.size is not None else spec.problems
        line = f"task       {selection}: {_count(count)} problems from {where}"
        return None, count, line, f"{spec.name} from {where}"
    task = load_task(selection, config.data_path)
    line = f"task       {selection}: {len(task.problems)} of {task.full_size} problems from {where}"
    return task, len(task.problems), line, None


def _sizes(
    selection: Selection, task: Task | None, count: int | None, config: RunConfig
) -> list[PlannedTask]:
    """The task as far as its sizes are known before it is fetched."""
    full = load_spec(selection.task).problems if task is None else task.full_size
    if count is None or full is None:
        return []
    purpose = (config.purpose or {}).get(selection.task)
    return [PlannedTask(str(selection), count, full, purpose)]


def _print_forecast(planned: list[PlannedTask], config: RunConfig) -> None:
    if not planned:
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    console.print()
    console.print(forecast_table(planned, config.protocol))
    print("\n" + "\n".join(forecast_notes(planned, config.protocol)) + "\n")  # noqa: T201


def _amounts(config: RunConfig, counts: list[int | None]) -> list[str]:
    protocol = config.protocol
    known = [count for count in counts if count is not None]
    requests = sum(known) * protocol.samples_per_problem if len(known) == len(counts) else None
    tokens = None if requests is None else requests * protocol.max_new_tokens
    sampled = (
        "greedy"
        if protocol.temperature == 0
        else (f"temperature {protocol.temperature}, top_p {protocol.top_p}")
    )
    memory = memory_needed_bytes(config.model, config.engine, protocol.context_tokens)
    samples = _samples(protocol.samples_per_problem)
    return [
        f"protocol   {protocol.name}: {sampled}, {samples} a problem, "
        f"{protocol.max_new_tokens} new tokens at most",
        f"in all     {_count(requests)} requests, {_count(tokens)} output tokens at most",
        "memory     "
        + ("unknown" if memory is None else f"{memory / 1e9:.1f} GB for weights and one context"),
    ]


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count} samples"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _first_prompt(config: RunConfig, tasks: list[Task]) -> list[str]:
    if not tasks:
        return ["first prompt: not known before the problems are fetched"]
    task = tasks[0]
    problem = task.problems[0]
    is_remote = isinstance(config.model, RemoteModel)
    if is_remote or isinstance(config.engine, ReplayConfig) or not is_here(config.model):
        text = task.spec.prompt.replace("{question}", problem.question)
        return [f"first prompt, before the chat template, of {problem.problem_id}:", text]
    with_weights = not isinstance(config.engine, OpenaiConfig)
    model = resolve(config.model, with_digest=False, with_weights=with_weights)
    prompt = Codec.load(model).prompt(
        problem,
        task.spec.prompt,
        chat=config.protocol.chat,
        force_think=config.protocol.force_think,
    )
    size = len(prompt.token_ids)
    return [f"first prompt, as {size} tokens, of {problem.problem_id}:", prompt.text]
