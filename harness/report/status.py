"""How far runs are, for people: one run in lines, several in a table."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rich.console import RenderableType
from rich.live import Live
from rich.table import Table

from harness.analysis.status import UNDER_WAY, RunState
from harness.io.terminal import open_console, safe
from harness.runner.summary import duration

_WIDTH_WITHOUT_TERMINAL = 180
_COLUMNS = (
    *("run", "state", "done", "solved", "truncated", "tokens/s", "cost", "left"),
    "last sign, UTC",
)
EARLY = "of those graded so far; short answers end first, so this is no score yet"


@contextmanager
def screen(*, is_live: bool) -> Iterator[Callable[[RenderableType], None]]:
    """How to show a look on stdout: below the one before, or drawn over it on a terminal."""
    console = open_console(width=_WIDTH_WITHOUT_TERMINAL)
    if not (is_live and console.is_terminal):
        yield console.print
        return
    with Live(console=console, auto_refresh=False) as live:
        yield partial(live.update, refresh=True)


def one_run(state: RunState) -> RenderableType:
    """One run, a line for each fact that is known."""
    table = Table.grid(padding=(0, 2))
    for name, text in _facts(state):
        table.add_row(name, safe(text))
    return table


def all_runs(states: Sequence[RunState], folder: str) -> RenderableType:
    """Several runs, a row for each."""
    if not states:
        return safe(f"no run is in {folder}")
    table = Table(show_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in _COLUMNS[:2] else "right")
    for state in states:
        table.add_row(
            safe(state.run_id),
            state.state,
            f"{state.done}/{state.requests}",
            f"{state.solved}/{state.graded}{_percent(state)}",
            str(state.truncated),
            _or_dash(state.output_tokens_per_s, "{:.0f}"),
            _or_dash(state.usd, "{:.4f} USD"),
            "-" if state.time_left_s is None else duration(state.time_left_s),
            f"{state.last_sign_at:%m-%d %H:%M:%S}",
        )
    return table


def _facts(state: RunState) -> list[tuple[str, str]]:
    facts = [
        ("run", state.folder),
        ("state", _state_words(state)),
        ("model", f"{state.model}, {state.engine or 'no engine yet'}"),
        ("tasks", ", ".join(state.tasks) + (f"; shard {state.shard}" if state.shard else "")),
        ("requests", f"{state.done} of {state.requests} answered, {state.graded} graded"),
        ("solved", _solved_words(state)),
        ("truncated", f"{state.truncated} of {state.graded}"),
    ]
    if state.errors:
        facts.append(("errors", f"{state.errors} of {state.graded}"))
    if state.output_tokens_per_s is not None:
        speed = f"{state.output_tokens_per_s:.1f} tokens/s in answers that have ended"
        facts.append(("speed", speed))
    usd = "" if state.usd is None else f", rent {state.usd:.4f} USD"
    if state.machine_s is not None:
        facts.append(("machine time", duration(state.machine_s) + usd))
    if state.time_left_s is not None:
        facts.append(("left", f"about {duration(state.time_left_s)}"))
    facts.append(("last sign of life", f"{state.last_sign_at:%Y-%m-%d %H:%M:%S} UTC"))
    if state.error:
        facts.append(("error", state.error))
    return facts


def _state_words(state: RunState) -> str:
    to_resume = f"harness run resume={shlex.quote(str(state.folder))} continues it"
    match state.state:
        case "dead":
            return f"dead: no process writes it; {to_resume}"
        case "interrupted" | "failed":
            return f"{state.state}; {to_resume}"
        case name if state.process is not None:
            return f"{name}, process {state.process}"
        case name:
            return name


def _solved_words(state: RunState) -> str:
    text = f"{state.solved} of {state.graded}"
    if percent := _percent(state):
        text += f":{percent}"
        return f"{text}, {EARLY}" if state.state in UNDER_WAY else text
    return text


def _percent(state: RunState) -> str:
    """Solved so far with its interval; empty where nothing was graded."""
    if state.solved_fraction is None or state.solved_low is None or state.solved_high is None:
        return ""
    low, high = 100 * state.solved_low, 100 * state.solved_high
    return f" {100 * state.solved_fraction:.1f} % ({low:.1f} to {high:.1f} %)"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
