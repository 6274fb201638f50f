"""Progress of a running benchmark: a bar for terminals, plain lines for log files."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from harness.records import ERROR_STATUSES, Completion, Verdict

PLAIN_INTERVAL_S = 10.0


class RunProgress:
    """Counts what happens and shows it on stderr. Safe to call from threads."""

    def __init__(
        self,
        total: int,
        done: int,
        *,
        max_new_tokens: int | None = None,
        interval_s: float = PLAIN_INTERVAL_S,
    ) -> None:
        """Shows nothing yet.

        Args:
            total: Requests of the run.
            done: Of them, those that earlier sessions answered.
            max_new_tokens: An answer has no more; None where that is unknown.
            interval_s: Between two lines, where there is no terminal.
        """
        self._total = total
        self._max_new_tokens = max_new_tokens
        self._recorded = done  # by earlier sessions
        self._done = done
        self._solved = self._truncated = self._graded = self._errors = 0
        self._tokens, self._tokens_known = 0, True
        self._usd_per_s: float | None = None
        self._tokens_under_way: Callable[[], int | None] | None = None
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._last_line = self._started
        self._console = Console(stderr=True)
        self._over = threading.Event()
        # One answer can take an hour of thinking; the elapsed time is updated meanwhile.
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Shows the bar, where there is a terminal."""
        if self._console.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                BarColumn(bar_width=24),
                TextColumn("{task.description}"),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._line(), total=self._total, completed=self._done)
        self._ticker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Removes the bar; prints a last plain line with the final count."""
        self._over.set()
        self._ticker.join()
        if self._bar is not None:
            self._bar.stop()
        else:
            self._console.print(self._line(), highlight=False, soft_wrap=True)

    def generation_starts(
        self, usd_per_s: float | None, tokens_under_way: Callable[[], int | None] | None = None
    ) -> None:
        """The model is loaded: rates and cost count from here.

        Args:
            usd_per_s: Of the machine.
            tokens_under_way: Output tokens of unfinished requests; None where the engine does not
                count them.
        """
        with self._lock:
            self._started = time.monotonic()
            self._recorded, self._tokens = self._done, 0
            self._usd_per_s = usd_per_s
            self._tokens_under_way = tokens_under_way
        self._show()

    def on_completion(self, completion: Completion) -> None:
        """A request ended."""
        with self._lock:
            self._done += 1
            if completion.completion_tokens is None:
                self._tokens_known = False
            else:
                self._tokens += completion.completion_tokens
        self._show()

    def on_verdict(self, verdict: Verdict) -> None:
        """A completion was graded."""
        with self._lock:
            self._graded += 1
            self._solved += verdict.status == "correct"
            self._truncated += verdict.status == "truncated"
            self._errors += verdict.status in ERROR_STATUSES
        self._show()

    def already_graded(self, verdicts: list[Verdict]) -> None:
        """Counts what earlier sessions graded."""
        for verdict in verdicts:
            self.on_verdict(verdict)

    def _tick(self) -> None:
        while not self._over.wait(1.0):
            self._show()

    def _show(self) -> None:
        with self._lock:
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, completed=self._done, description=self._line())
            elif time.monotonic() - self._last_line >= self._interval_s:
                self._last_line = time.monotonic()
                self._console.print(self._line(), highlight=False, soft_wrap=True)

    def _line(self) -> str:
        elapsed = max(time.monotonic() - self._started, 1e-9)
        parts = [
            f"{self._done}/{self._total} done",
            f"solved {self._solved}/{self._graded}",
            f"truncated {self._truncated}",
        ]
        if self._errors:
            parts.append(f"errors {self._errors}")
        under_way = self._tokens_under_way() if self._tokens_under_way else None
        tokens = self._tokens + (under_way or 0)
        if tokens and self._tokens_known:
            parts.append(f"{tokens / elapsed:.0f} tokens/s")
        if self._usd_per_s is not None:
            parts.append(f"{self._usd_per_s * elapsed:.4f} USD")
        if (left_s := self._left_s(elapsed, under_way)) is not None:
            parts.append(f"{_duration(left_s)} left")
        return "  ".join(parts)

    def _left_s(self, elapsed_s: float, under_way: int | None) -> float | None:
        """Seconds to the last answer, at the pace so far; None before anything ended or came.

        Short answers end first, so at the beginning answers by time promise too late an end. The
        tokens that may still come, at the rate of those that came, are an upper bound.
        """
        left = self._total - self._done
        if not left:
            return None
        guesses = []
        if fresh := self._done - self._recorded:
            guesses.append(left * elapsed_s / fresh)
        came = self._tokens + (under_way or 0)
        if self._max_new_tokens and self._tokens_known and under_way and self._tells_rate(came):
            may_come = left * self._max_new_tokens - under_way
            guesses.append(may_come * elapsed_s / came)
        return min(guesses, default=None)

    def _tells_rate(self, tokens: int) -> bool:
        """Whether there are enough tokens for a rate: half of one answer's budget."""
        return self._max_new_tokens is not None and 2 * tokens >= self._max_new_tokens


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
