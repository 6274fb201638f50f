"""An event loop in a thread: many requests at once, under an engine that yields one by one."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from harness.engines.pace import Pace
from harness.errors import UnavailableError
from harness.records import Completion, GenerationRequest

# Waiting for what still runs to be aborted, before the loop ends anyway.
ABORT_LIMIT_S = 30.0

T = TypeVar("T")
Answers = queue.SimpleQueue[Completion | BaseException | None]


@contextlib.contextmanager
def event_loop(name: str) -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=name, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_everything(), loop).result(ABORT_LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def wait_for(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """The result of something that runs in the loop."""
    return asyncio.run_coroutine_threadsafe(work, loop).result()


async def cancelled(tasks: Collection[asyncio.Task[Any] | None]) -> None:
    """Cancels tasks and waits until they ended."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running, timeout=ABORT_LIMIT_S)


def answer_all(
    loop: asyncio.AbstractEventLoop,
    requests: Sequence[GenerationRequest],
    answer: Callable[[GenerationRequest], Awaitable[Completion | None]],
    concurrency: int,
    pace: Pace,
) -> Iterator[Completion]:
    """Answers requests in order, at most ``concurrency`` at a time; yields each as it ends.

    Closing the iterator cancels what still runs. Stopping the pace lets it end.

    Closing the iterator cancels what still runs. Stopping the pace lets it end.

    Args:
        loop: Runs in another thread.
        requests: What to answer.
        answer: Makes the completion of one request, or None where it was not sent because the pace
            was stopped. What it raises ends everything, and is raised
            here: an ``UnavailableError`` after what is under way has ended, anything else at once.
        concurrency: How many may be under way at once.
        pace: Of the requests.
    """
    answers: Answers = queue.SimpleQueue()
    waiting = iter(requests)

    async def work() -> None:
        while not pace.is_stopped and (request := next(waiting, None)) is not None:
            if (completion := await answer(request)) is not None:
                answers.put(completion)

    async def begin() -> asyncio.Task[None]:
        pace.restart()
        workers = min(concurrency, len(requests))
        working = asyncio.create_task(_all_of(work, workers, pace, answers))
        working.add_done_callback(lambda _: answers.put(None))
        return working

    working = wait_for(begin(), loop)
    try:
        while (each := answers.get()) is not None:
            if isinstance(each, BaseException):
                raise each
            yield each
    finally:
        wait_for(cancelled([working]), loop)


async def _all_of(
    work: Callable[[], Awaitable[None]], workers: int, pace: Pace, answers: Answers
) -> None:
    """Runs the workers to their end; an error is passed on after the answers of the workers."""
    refusals: list[UnavailableError] = []

    async def guarded() -> None:
        try:
            await work()
        except UnavailableError as error:  # what others are being answered is paid for
            refusals.append(error)
            pace.stop()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(guarded())
    except* Exception as errors:  # noqa: BLE001 - raised again where the answers are read
        answers.put(errors.exceptions[0])
    if refusals:
        answers.put(refusals[0])


async def _cancel_everything() -> None:
    await cancelled(asyncio.all_tasks() - {asyncio.current_task()})
