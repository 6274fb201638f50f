"""A server for tests that has every bad day that users of OpenAI-compatible servers report.

It is a real HTTP server in a thread. A test gives it a list of roles, one for each request in their
order; the last one plays for all that follow. A role is a function of the request's handler.
"""

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "sk-very-secret-key"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


class FaultServer(ThreadingHTTPServer):
    """What it lists as its models, how it answers, and what it was asked."""

    daemon_threads = True
    request_queue_size = 64
    """Connections that wait to be accepted; one more is asked for anew after a second."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.models: list[dict[str, Any]] = [{"id": "hosted", "owned_by": "somebody"}]
        self.lists: Role = lists
        """The role that ``GET /models`` is answered in."""
        self.answers: list[Role] = []
        self.asked: list[dict[str, Any]] = []
        """The JSON of each request, with its path."""
        self.headers: list[dict[str, str]] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/v1"

    def encrypt(self, certificate: Path) -> None:
        """Speaks TLS from now on; the file holds the key and the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.scheme = "https"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: FaultServer
    asked: dict[str, Any]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name upstream
        """Says nothing."""

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self.server.lists(self)
        else:
            self.say(404, {"error": {"message": "nothing here"}})

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.asked = {"path": self.path, **json.loads(self.rfile.read(size))}
        self.server.asked.append(self.asked)
        self.server.headers.append(dict(self.headers))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def say(self, status: int, content: Any, **headers: str) -> None:
        self.send(status, json.dumps(content), "application/json", **headers)

    def send(self, status: int, text: str, kind: str, **headers: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def event(self, event: Any) -> None:
        self.wfile.write(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())

    def stream(self, *events: Any) -> None:
        self.begin_stream()
        for event in events:
            self.event(event)
        self.wfile.write(b"data: [DONE]\n\n")


Role = Callable[[Handler], None]


def lists(handler: Handler) -> None:
    """The models, for whoever has the key or needs none."""
    if handler.headers["Authorization"] not in {f"Bearer {KEY}", "Bearer none", None}:
        handler.say(401, {"error": {"message": f"wrong key {handler.headers['Authorization']}"}})
    else:
        handler.say(200, {"object": "list", "data": handler.server.models})


def refuses(status: int, message: str = "not now", code: Any = None, **headers: str) -> Role:
    """An error, with headers such as ``Retry_After``."""
    error = {"message": message, "code": code}
    return lambda handler: handler.say(status, {"error": error}, **headers)


def moves(location: str, status: int = 308) -> Role:
    """Sends the client elsewhere."""
    return refuses(status, "moved", Location=location)


def page(status: int, text: str = "<html><title>Welcome</title></html>") -> Role:
    """A page of HTML where JSON belongs, as gateways and wrong URLs have it."""
    return lambda handler: handler.send(status, text, "text/html")


def sends(content: Any, status: int = 200) -> Role:
    """Some JSON."""
    return lambda handler: handler.say(status, content)


def chats(*deltas: dict[str, str], finish: str | None = "stop", usage: Any = USAGE) -> Role:
    """Streams a chat answer."""
    choices: list[list[dict[str, Any]]] = [
        [{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas
    ]
    choices.append([{"index": 0, "delta": {}, "finish_reason": finish}])
    events = [{"id": "1", "object": "chat.completion.chunk", "choices": each} for each in choices]
    last = {"id": "1", "object": "chat.completion.chunk", "choices": [], "usage": usage}
    return lambda handler: handler.stream(*events, *([last] if usage else []))


def completes(text: str, finish: str | None = "stop", usage: Any = USAGE) -> Role:
    """Streams an answer of ``/completions``."""
    event = {"choices": [{"index": 0, "text": text, "finish_reason": finish}], "usage": usage}
    return lambda handler: handler.stream(event)


def chats_whole(message: dict[str, Any], finish: str | None = "stop", usage: Any = USAGE) -> Role:
    """A chat answer in one piece, whatever ``stream`` says."""
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return sends({"object": "chat.completion", "choices": choices, "usage": usage})


def loses(handler: Handler) -> None:
    """Begins an answer and hangs up."""
    handler.begin_stream()
    handler.event({"choices": [{"index": 0, "delta": {"content": "lost "}, "finish_reason": None}]})
    handler.wfile.flush()
    handler.connection.close()


def hangs(released: threading.Event) -> Role:
    """Accepts a request and says nothing until the test is over."""

    def role(_: Handler) -> None:
        released.wait(60)

    return role


def only(path: str, role: Role) -> Role:
    """Serves one path, and nothing else."""

    def play(handler: Handler) -> None:
        if handler.path == path:
            role(handler)
        else:
            handler.say(404, {"detail": "Not Found"})

    return play


def strict(*fields: str, role: Role) -> Role:
    """Refuses requests that have one of these fields."""

    def play(handler: Handler) -> None:
        if unknown := [name for name in fields if name in handler.asked]:
            handler.say(400, {"error": {"message": f"unsupported parameter: {unknown[0]}"}})
        else:
            role(handler)

    return play


def unless(is_refused: Callable[[dict[str, Any]], bool], refusal: Role, role: Role) -> Role:
    """Refuses some requests by what they ask."""
    return lambda handler: (refusal if is_refused(handler.asked) else role)(handler)


class FakeTime:
    """A clock that passes only while somebody sleeps by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@contextlib.contextmanager
def serving() -> Iterator[FaultServer]:
    """A server that runs."""
    with FaultServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
