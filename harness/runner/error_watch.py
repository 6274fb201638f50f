"""Counts failed requests and ends the run when there are too many."""

import logging
from collections import Counter

from harness.errors import TooManyErrorsError
from harness.records import Completion
from harness.store.failures import kind_of

log = logging.getLogger(__name__)

FEWEST = 20
"""The fewest finished requests for which a share of failures is judged."""


class ErrorWatch:
    """Counts the requests of a run: those on record, and those of the current engine.

    Args:
        stop_at_fraction: A run is stopped when more than this share of its finished requests
            failed; None: never.
        answered: Requests of the run that were answered before.
    """

    def __init__(self, stop_at_fraction: float | None, answered: int = 0) -> None:
        self._stop_at = stop_at_fraction
        self._finished = answered
        self._reasons: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        """Whether too many have failed."""
        failed, at = self._reasons.total(), self._stop_at
        return at is not None and self._finished >= FEWEST and failed > at * self._finished

    def count(self, completion: Completion) -> None:
        """Counts a finished request, and logs the first failure of each kind."""
        self._finished += 1
        if completion.finish_reason != "error":
            return
        kind = kind_of(completion.error or "")
        if kind not in self._reasons:
            log.warning("%s failed: %s; the run continues", completion.request_id, completion.error)
        self._reasons[kind] += 1

    def check(self) -> None:
        """Ends the run if too many have failed.

        Raises:
            TooManyErrorsError: Names the share and the most frequent reason.
        """
        if self.is_over:
            (reason, count), failed = self._reasons.most_common(1)[0], self._reasons.total()
            raise TooManyErrorsError(
                f"limits.stop_at_error_fraction={self._stop_at:g}: {failed} of {self._finished} "
                f"finished requests failed, {count} with: {reason}; what was answered is kept, "
                "what failed is asked again on resume"
            )
