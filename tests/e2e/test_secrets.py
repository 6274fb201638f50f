"""A key goes to its server and nowhere else, in whatever form it was given."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Harness

KEY = "Zq7Xw9Kp-3Vt5+Bn8/Cd2="
PIECE = "Zq7Xw9Kp"
CHAT = [
    "run",
    "model=remote",
    "model.name=quoted",
    "engine=openai",
    "engine.mode=chat",
    "protocol=greedy",
    "tasks=[math_mini:3]",
    "canary=false",
    "engine.max_retries=0",
]


class Quoting(ThreadingHTTPServer):
    """Refuses every question, quoting what it was sent in several spellings."""

    daemon_threads = True

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = status
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Quoting

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name upstream
        """Says nothing."""

    def do_GET(self) -> None:
        self.say(200, {"object": "list", "data": [{"id": "quoted"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        sent = self.headers["Authorization"]
        self.server.keys.add(sent)
        words = f"bad header {sent!r} {sent.encode()!r} {'x' * 200} {json.dumps(sent)} {sent}"
        self.say(self.server.status, {"error": {"message": words}})

    def say(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(params=[400, 401])
def quoting(request: pytest.FixtureRequest) -> Iterator[Quoting]:
    """One that refuses the request, and one that refuses the key."""
    with Quoting(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def leaks(folder: Path, *texts: str) -> list[str]:
    """Files and texts that hold a piece of the key."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    found = [str(file) for file in files if PIECE.encode() in file.read_bytes()]
    return found + [text for text in texts if PIECE in text]


def test_a_key_with_an_odd_ending_reaches_the_server_and_nothing_else(
    quoting: Quoting, harness: Harness, tmp_path: Path
) -> None:
    done = harness(
        *CHAT, f"engine.base_url={quoting.url}", "engine.api_key_env=QUOTED", QUOTED=f" {KEY}\r\n"
    )
    assert quoting.keys == {f"Bearer {KEY}"}
    assert done.returncode in {3, 4}, done.stderr
    # a run in which nothing was answered leaves nothing behind
    assert bool(list(tmp_path.rglob("manifest.json"))) == (done.returncode == 4)
    assert leaks(tmp_path, done.stdout, done.stderr) == []
    assert "***" in done.stderr + "".join(
        file.read_text(encoding="utf-8") for file in tmp_path.rglob("completions.jsonl")
    )


@pytest.mark.parametrize(
    ("key", "value", "how"),
    [
        ("engine.api_key_env", f"sk-{PIECE}abcdefghijkl", []),
        ("engine.api_key_env", PIECE, ["-m", "seed=1,2"]),
        ("engine.api_key_env", f"'{PIECE} x'", ["--cfg", "job"]),
        ("+engine.extra_body.api_key", PIECE, ["--dry-run"]),
        ("engine.base_url", f"http://me:{PIECE}@host/v1", ["--cfg", "job"]),
    ],
)
def test_a_secret_in_an_override_is_refused_before_anything_is_shown_or_kept(
    key: str, value: str, how: list[str], harness: Harness, tmp_path: Path
) -> None:
    done = harness(*CHAT, f"{key}={value}", *how, TMPDIR=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"harness: {key.lstrip('+')}: ")
    assert len(done.stderr.splitlines()) == 1
    assert leaks(tmp_path, done.stdout, done.stderr) == []
    assert not list(tmp_path.rglob("*.json"))
