"""When requests may be sent: waits before retries, and a rate limit per minute."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from harness.engines.base import Clock
from harness.engines.request_error import RequestError

FIRST_WAIT_S = 0.5
LONGEST_BACK_OFF_S = 60.0
JITTER = 0.25
"""A wait is longer by up to this share, so that requests refused together do not return
together."""

Sleep = Callable[[float], Awaitable[object]]


class Pace:
    """Schedules all requests to one server; use it in that server's event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        max_retries: int,
        longest_wait_s: float,
        requests_per_minute: float | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Sets the limits.

        Args:
            clock: The run's.
            max_retries: Further attempts at one request.
            longest_wait_s: A request is not retried if the server asks for a longer wait.
            requests_per_minute: The most attempts that begin in a minute; None: no limit.
            sleep: Waits for a number of seconds.
        """
        self._clock = clock
        self._max_retries = max_retries
        self._longest_wait_s = longest_wait_s
        self._interval_s = 0.0 if requests_per_minute is None else 60 / requests_per_minute
        self._sleep = sleep
        self._next_turn_s = 0.0
        self._stop = asyncio.Event()

    @property
    def is_stopped(self) -> bool:
        """Whether nothing more may be sent."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ends all waits: what is under way may end, and nothing more is sent."""
        self._stop.set()

    def restart(self) -> None:
        """Lets requests be sent again."""
        # Turns that were given out and not used are free again.
        self._next_turn_s = min(self._next_turn_s, self._clock() + self._interval_s)
        self._stop.clear()

    async def turn(self, after_s: float = 0.0) -> bool:
        """Waits until another attempt may begin.

        Args:
            after_s: To be waited for before the rate limit is asked.

        Returns:
            Whether it may: False when everything was stopped meanwhile.
        """
        await self._wait(after_s)
        if self._interval_s and not self.is_stopped:
            now = self._clock()
            turn_s = max(now, self._next_turn_s)
            self._next_turn_s = turn_s + self._interval_s
            await self._wait(turn_s - now)
        return not self.is_stopped

    async def _wait(self, seconds: float) -> None:
        """Waits, at most until everything is stopped."""
        if seconds <= 0:
            return
        waits = [
            asyncio.ensure_future(self._sleep(seconds)),
            asyncio.ensure_future(self._stop.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def before_retry_s(self, error: RequestError, retries: int, seed: int) -> float | None:
        """Seconds to wait before another attempt; None when there is to be none.

        At least as long as the server asks; if it asks for no wait, or for a moment that has
        passed, the usual wait applies.

        A server that asks for a wait is given at least that; one that asks for none, or for a
        moment that has passed, is not asked again at once either.

        Args:
            error: What the last attempt ended with.
            retries: How often the request was tried again already.
            seed: Of the request; decides the jitter.
        """
        if not error.can_retry or retries >= self._max_retries or self.is_stopped:
            return None
        asked_s = error.retry_after_s or 0.0
        if asked_s > self._longest_wait_s:
            return None
        back_off_s = min(FIRST_WAIT_S * 2.0**retries, LONGEST_BACK_OFF_S)
        jitter = JITTER * random.Random(seed + retries).random()  # noqa: S311 - no secret
        return max(asked_s, back_off_s * (1 + jitter))

    def why_not_again(self, error: RequestError, retries: int) -> str:
        """The reason of a request that is given up, and why it is not retried."""
        if not error.can_retry:
            return error.reason
        asked_s = error.retry_after_s
        if asked_s is not None and asked_s > self._longest_wait_s:
            return (
                f"{error.reason} (the server asks to wait {asked_s:g} s; "
                f"engine.max_retry_wait_s={self._longest_wait_s:g} allows less)"
            )
        return f"{error.reason} (tried {retries + 1} times)" if retries else error.reason
