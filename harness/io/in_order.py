"""Works on several items at once and keeps their order."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from harness.errors import UserError

A = TypeVar("A")
B = TypeVar("B")


def in_order(items: Iterator[A], work: Callable[[A], B], workers: int) -> Iterator[B]:
    """Works on several at once and yields in the order of the input, reading little ahead."""
    waiting: deque[Future[B]] = deque()
    failure: UserError | None = None
    with ThreadPoolExecutor(workers) as threads:
        try:
            for item in items:
                waiting.append(threads.submit(work, item))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().result()
        except UserError as error:  # what was read before the bad line is still answered
            failure = error
        while waiting:
            yield waiting.popleft().result()
    if failure is not None:
        raise failure
