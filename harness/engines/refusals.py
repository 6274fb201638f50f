"""Decides from the first refusals whether a server refuses the whole run."""

from http import HTTPStatus

from harness.engines.request_error import NO_KEY, RequestError
from harness.engines.wire import Mode

ALL_REFUSED = 5
"""The least number of refusals, before any answer, that count as a refusal of every request."""
_NO_SUCH_PATH = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
# llama-cpp-python's server answers a prompt of another type with 500.
_NO_SUCH_PROMPT = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.INTERNAL_SERVER_ERROR,
    }
)


class RefusalJudge:
    """Decides whether a refusal concerns one request or the whole run.

    A refusal of the key or the account before anything was answered, or several in a row after
    that, concerns all requests. Any other refusal is its request's own, unless the first requests
    of the run are all refused: ``ALL_REFUSED``, and all that were sent before any of them ended.
    """

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._has_answered = False
        self._is_continued = False
        self._of_account = 0
        self._sent = 0
        self._first = ALL_REFUSED
        self._refused: set[int] = set()
        self._has_ended = False

    def expect_refusals(self) -> None:
        """Marks a resumed run: it has answers, so a first refusal concerns its request alone."""
        self._is_continued = True

    def sent(self) -> int:
        """The number of a request that is sent for the first time, from 0."""
        number, self._sent = self._sent, self._sent + 1
        if not self._has_ended:
            self._first = max(ALL_REFUSED, self._sent)
        return number

    def answered(self) -> None:
        """Notes that a request was answered."""
        self._has_answered = self._has_ended = True
        self._of_account = 0
        self._refused.clear()

    def failed(self, number: int, error: RequestError) -> str | None:
        """Counts a request that failed for good; returns why none will be answered, or None."""
        self._has_ended = True
        if error.is_of_account:
            self._of_account += 1
            if self._of_account >= ALL_REFUSED or not self._has_answered:
                what = "key" if error.status in NO_KEY else "account"
                return f"the server refuses this {what}: {error.reason}"
        if error.status is None or self._has_answered or self._is_continued:
            return None
        self._refused.add(number)
        if not self._refused.issuperset(range(self._first)):
            return None
        reason = self.with_hint(error.reason, error)
        return f"the server refused the first {self._first} requests: {reason}"

    def with_hint(self, reason: str, error: RequestError) -> str:
        """A refusal with advice, where the server has answered nothing yet."""
        hint = None
        if not self._has_answered and self._mode != "chat" and error.status in _NO_SUCH_PATH:
            hint = (
                f"engine.mode={self._mode} needs /completions; for a server that has only "
                "/chat/completions give engine.mode=chat"
            )
        elif not self._has_answered and self._mode == "tokens" and error.status in _NO_SUCH_PROMPT:
            hint = "if it takes no token ids as prompt, give engine.mode=text"
        return reason if hint is None else f"{reason}; {hint}"
