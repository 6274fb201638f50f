"""Why one request failed, whether another try can help, and whether it concerns all requests."""

import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from harness.io.redaction import redact

NO_KEY = frozenset({HTTPStatus.UNAUTHORIZED})
"""HTTP statuses of a refused key."""
NO_MONEY = frozenset({HTTPStatus.PAYMENT_REQUIRED})
"""HTTP statuses of an empty account."""
_NO_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Error codes of a 429 that no waiting helps against."""
_FOR_NOW = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.CONFLICT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_FOR_EVER = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})
_SERVER_ERRORS = 500
MAX_REASON = 300
"""The longest reason, in characters."""


class RequestError(Exception):
    """One attempt at a request failed.

    Args:
        reason: One line, without secrets.
        status: The HTTP status; None where none came.
        code: The server's own name of the error.
        can_retry: The same request may be answered later.
        retry_after_s: The wait that the server asks for; None where it gives none.
        is_lost: The connection failed, ended too early or fell silent.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        code: str | None = None,
        can_retry: bool = False,
        retry_after_s: float | None = None,
        is_lost: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code
        self.can_retry = can_retry
        self.retry_after_s = retry_after_s
        self.is_lost = is_lost

    @property
    def is_of_account(self) -> bool:
        """Whether the key or the account is refused, so that every other request would be too."""
        return self.status in NO_KEY | NO_MONEY or self.code in _NO_QUOTA

    @property
    def is_of_server(self) -> bool:
        """Whether the server itself may be gone; a server that sent any other answer is not."""
        return self.is_lost or (self.status or 0) >= _SERVER_ERRORS


def of_response(status: int, headers: Mapping[str, str], body: bytes) -> RequestError:
    """The error for a response with a status other than 200."""
    try:
        reply: Any = json.loads(body)
    except ValueError:
        reply = _without_markup(body.decode("utf-8", "replace"))
    if location := headers.get("location"):
        reply = f"the server sends on to {location}; if you trust it, give that in engine.base_url"
    return _from_reply(reply, status, retry_after_s(headers))


def of_event(error: Any) -> RequestError:
    """The error that a server sends within a stream, or with status 200."""
    code = error.get("code") if isinstance(error, dict) else None
    is_status = isinstance(code, int) and code >= HTTPStatus.BAD_REQUEST
    return _from_reply({"error": error}, code if is_status else None, None)


def of_transport(error: BaseException, silence_limit_s: float | None) -> RequestError:
    """The error for a connection that failed or was lost.

    A request that received nothing within the limit is not retried: a server that hangs would take
    that long again.

    A request that heard nothing for as long as allowed is not tried again: a server that hangs
    would take that long once more.
    """
    import httpx2

    words = one_line(str(error)) or type(error).__name__
    if isinstance(error, httpx2.ReadTimeout):
        limit = "" if silence_limit_s is None else f" for {silence_limit_s:g} s"
        return RequestError(
            f"the server sent nothing{limit} (engine.silence_limit_s)", is_lost=True
        )
    if is_untrusted(error):
        return RequestError(f"the server's certificate is not trusted: {words}", is_lost=True)
    is_lasting = isinstance(
        error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol | httpx2.TooManyRedirects
    )
    return RequestError(
        f"the connection failed: {words}", can_retry=not is_lasting, is_lost=not is_lasting
    )


def is_untrusted(error: BaseException | None) -> bool:
    """Whether a certificate was refused, by this error or one of its causes."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that a server asks for, in seconds; None where it asks for none.

    Reads ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3), and ``retry-after-ms``.

    Reads ``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3), and ``retry-after-ms``.
    """
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    given = headers.get("retry-after")
    if (seconds := _number(given)) is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(given or "")
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def one_line(text: str) -> str:
    """A text in one line of bounded length, without secrets."""
    return redact(" ".join(text.split()))[:MAX_REASON]


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _from_reply(reply: Any, status: int | None, wait_s: float | None) -> RequestError:
    error = reply.get("error", reply) if isinstance(reply, dict) else reply
    code = error.get("code") or error.get("type") if isinstance(error, dict) else None
    words = one_line(_words(error)) or (_phrase(status) if status else "no reason given")
    is_out = code in _NO_QUOTA
    is_passing = status in _FOR_NOW or (status or 0) >= _SERVER_ERRORS
    return RequestError(
        words if status is None else f"HTTP {status}: {words}",
        status=status,
        code=code if isinstance(code, str) else None,
        can_retry=is_passing and status not in _FOR_EVER and not is_out,
        retry_after_s=wait_s,
    )


def _words(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    for name in ("message", "detail", "error", "msg"):
        if error.get(name):
            return _words(error[name])
    return str(error)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason given"


def _without_markup(text: str) -> str:
    """The title of a gateway's HTML page; any other text unchanged."""
    start, end = text.lower().find("<title>"), text.lower().find("</title>")
    if 0 <= start < end:
        return text[start + len("<title>") : end]
    return "a page of HTML" if text.lstrip().lower().startswith(("<!doctype", "<html")) else text
