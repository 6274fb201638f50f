"""Reads the list of models that a server offers (``GET /models``)."""

import json
import logging
from http import HTTPStatus
from typing import Any, NamedTuple

from harness.engines.endpoint import CONNECT_LIMIT_S, Link
from harness.engines.request_error import is_untrusted, of_response, one_line
from harness.engines.wire import TAKES_MORE
from harness.errors import UnavailableError

log = logging.getLogger(__name__)

ANSWER_LIMIT_S = 30.0
TRIES = 2
NAMES_SHOWN = 5
UNKNOWN = "unknown"
# A key for generating alone may not be allowed to list.
_NOT_LISTED = frozenset(
    {
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)


class Served(NamedTuple):
    """The model at the server, as far as it is known."""

    model: str
    """The model's name at the server."""
    software: str = UNKNOWN
    version: str = UNKNOWN
    context_tokens: int | None = None


class _Reply(NamedTuple):
    status: int
    models: list[dict[str, Any]] | None
    """The listed models; None: the reply is no list of models."""
    words: str
    """The reply's text if it is no list."""


def find_model(link: Link, asked_for: str | None, key_advice: str) -> Served:
    """Finds the configured model at the server.

    A server that lists no models is trusted once the model is named: its requests will show whether
    it has it.

    A server that lists no models is taken at its word once the model is named: its requests will
    show whether it has it.

    Args:
        link: To the server.
        asked_for: ``engine.served_model``.
        key_advice: What to do about a refused key.

    Raises:
        UnavailableError: The server cannot be reached, refuses the key or has no such model.
    """
    where = f"engine.base_url={link.base_url}"
    reply = _ask(link, where)
    if reply.status == HTTPStatus.UNAUTHORIZED or (
        reply.status == HTTPStatus.FORBIDDEN and asked_for is None
    ):
        raise UnavailableError(f"{where}: the server refuses the key ({reply.words}); {key_advice}")
    if reply.models is None and reply.status != HTTPStatus.OK and reply.status not in _NOT_LISTED:
        raise UnavailableError(
            f"{where}: {reply.words}; give the URL of a running server, with /v1 at its end"
        )
    if not reply.models and asked_for is not None:
        log.info("%s lists no models (%s); taking %s as given", where, reply.words, asked_for)
        return Served(asked_for)
    if reply.models is None:
        raise UnavailableError(
            f"{where}: no list of models there ({reply.words}); the URL usually ends in /v1; for a "
            "server without such a list give the model's name in engine.served_model"
        )
    chosen = _chosen(reply.models, asked_for, where)
    owner, context = chosen.get("owned_by"), chosen.get("max_model_len")
    return Served(
        model=str(chosen["id"]),
        # hosted APIs name themselves as the owner
        software=owner if isinstance(owner, str) and owner in TAKES_MORE else UNKNOWN,
        context_tokens=context if isinstance(context, int) else None,
    )


def why_gone(link: Link) -> str | None:
    """Why the server no longer answers; None while it does (a refusal is an answer too)."""
    where = f"engine.base_url={link.base_url}"
    try:
        reply = _ask(link, where)
    except UnavailableError as error:
        return str(error)
    is_broken = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and reply.status not in _NOT_LISTED
    return f"{where}: {reply.words}" if is_broken else None


def get(link: Link, url: str, limit_s: float) -> Any:
    """The response to a GET request beside the completions; an ``httpx2.Response``.

    Raises:
        httpx2.HTTPError: None came.
    """
    import httpx2

    with httpx2.Client(
        headers=link.headers,
        timeout=httpx2.Timeout(limit_s, connect=CONNECT_LIMIT_S),
        verify=link.verify,
        trust_env=not link.is_own,
        follow_redirects=False,  # keys are for this server alone
    ) as client:
        return client.get(url)


def _ask(link: Link, where: str) -> _Reply:
    import httpx2

    for attempt in range(1, TRIES + 1):
        try:
            response = get(link, f"{link.base_url}/models", ANSWER_LIMIT_S)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            if attempt == TRIES or is_untrusted(error):
                raise UnavailableError(_unreachable(where, error)) from error
        else:
            if response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR or attempt == TRIES:
                return _read(response)
    raise AssertionError("the last try returns or raises")


def _unreachable(where: str, error: BaseException) -> str:
    words = one_line(str(error)) or type(error).__name__
    if is_untrusted(error):
        return (
            f"{where}: its certificate is not trusted ({words}); engine.ca_file=FILE trusts the "
            "authority whose certificate is in that PEM file, engine.verify=false trusts any server"
        )
    return f"{where}: {words}; give the URL of a running server, with /v1 at its end"


def _read(response: Any) -> _Reply:
    status = response.status_code
    words = of_response(status, response.headers, response.content).reason
    if status != HTTPStatus.OK:
        return _Reply(status, None, words)
    try:
        reply = json.loads(response.content)
    except ValueError:
        return _Reply(status, None, words)
    listed = reply.get("data", reply.get("models")) if isinstance(reply, dict) else reply
    if not isinstance(listed, list):
        return _Reply(status, None, words)
    models = [each for each in listed if isinstance(each, dict) and each.get("id")]
    return _Reply(status, models, "an empty list" if not models else words)


def _chosen(models: list[dict[str, Any]], asked_for: str | None, where: str) -> dict[str, Any]:
    by_name = {str(model["id"]): model for model in models}
    if asked_for in by_name:
        return by_name[asked_for]
    if asked_for is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    shown = ", ".join([*by_name][:NAMES_SHOWN]) or "no model"
    if len(by_name) > NAMES_SHOWN:
        shown += f" and {len(by_name) - NAMES_SHOWN} more"
    raise UnavailableError(
        f"engine.served_model={asked_for}: {where} serves {shown}; name one of those"
    )
