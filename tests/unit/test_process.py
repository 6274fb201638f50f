"""Jobs of a sweep, shards, nights and servers: however they or their parent end, nothing is left.

Each kind is started by the code that starts it in earnest; a stand-in takes the place of the run or
of vLLM's server.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import Signals
from typing import NamedTuple

import psutil
import pytest

from harness.machine import hardware
from harness.process import reaper
from harness.process.reaper import ChildCleanup, RunCleanup
from harness.process.report import MAX_ERROR
from harness.process.run_child import RunChild, RunSpec
from harness.process.start import ChildSpec, Ending
from tests.conf.test_compose import compose
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")

LONGEST_S = 60.0

# Has a child in its own session and one in another; ignores SIGTERM, as these do, or says that it
# came. With a port it is a server.
STAND_IN = """
import http.server, os, signal, subprocess, sys, time
from pathlib import Path

place, own = Path(os.environ["STAND_IN"]), os.getpid()

def stop(*_):
    (place / f"{own}.stopped").touch()
    os._exit(130)

is_stubborn = (place / "stubborn").exists()
signal.signal(signal.SIGTERM, signal.SIG_IGN if is_stubborn else stop)
nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
near = subprocess.Popen(["sleep", "600"], **nowhere)
far = subprocess.Popen(["sleep", "600"], start_new_session=True, **nowhere)
(place / "new").write_text(f"{own} {near.pid} {far.pid}")
(place / "new").rename(place / f"{own}.pids")
if "--port" not in sys.argv:
    time.sleep(600)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

# Starts one kind of child, waits for it, and prints what became of it.
PARENT = """
import json, os, sys, time
from pathlib import Path
from harness.config.settings import load_run_config
from harness.engines import server_process
from harness.errors import Interrupted, ShardsError
from harness.process import reaper
from harness.process.interruption import install_handlers

kind, place, config = sys.argv[1], Path(sys.argv[2]), load_run_config(json.loads(sys.argv[3]))
reaper.STOP_LIMIT_S = server_process.STOP_LIMIT_S = float(sys.argv[4])
reaper.LEFTOVER_LIMIT_S = 0.5

def job():
    from harness.runner.sweep.jobs import Jobs
    report = Jobs(place, is_dry_run=False, is_elsewhere=False)._report(config)
    return report.status, report.error

def shards():
    from harness.runner.prepared import PreparedShards
    from harness.runner.workers import run_shards
    try:
        run_shards(PreparedShards(config.model_copy(update={"shards": 2})))
    except ShardsError as error:
        return error.exit_status

def night():
    from harness.analysis.nightly.child import run_child
    ended = run_child(config, place / "log", place / "report", place, 600)
    return ended.exit_status, ended.is_too_long

def server():
    environment = {**os.environ, "PYTHONPATH": str(place)}
    with server_process.serving([], environment, place / "log", 60) as serving:
        (place / "healthy").touch()
        while (why := serving.why_gone()) is None:
            time.sleep(0.05)
        return why.partition(":")[0]

install_handlers()
try:
    print(json.dumps(globals()[kind]()))
except Interrupted as stop:
    sys.exit(stop.exit_status)
"""


class Kind(NamedTuple):
    """A kind of child."""

    children: int
    """Children of a parent."""
    when_killed: object
    """What its parent says of a child that was killed."""


KINDS = {
    "job": Kind(1, [1, "ended by SIGKILL (out of memory?)"]),
    "shards": Kind(2, 1),
    "night": Kind(1, [-9, False]),
    "server": Kind(1, "vllm's server ended with status -9"),
}


Starter = Callable[..., "Started"]


class Started(NamedTuple):
    """A parent, and by process id what its children started: near and far."""

    parent: "subprocess.Popen[str]"
    place: Path
    children: dict[psutil.Process, tuple[psutil.Process, ...]]

    @property
    def everything(self) -> list[psutil.Process]:
        """All that must not outlive the parent."""
        return [each for child, more in self.children.items() for each in (child, *more)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts a parent of a kind of child; returns when the children run."""
    for folder in (tmp_path / "harness", tmp_path / "vllm" / "entrypoints" / "openai"):
        folder.mkdir(parents=True)
    for package in ("harness", "vllm", "vllm/entrypoints", "vllm/entrypoints/openai"):
        (tmp_path / package / "__init__.py").touch()
    for file in ("harness/__main__.py", "vllm/entrypoints/openai/api_server.py"):
        (tmp_path / file).write_text(STAND_IN)
    config = compose("experiment=demo", "engine=replay", "engine.run=x").model_dump_json()
    everything: list[psutil.Process] = []

    def call(kind: str, *, is_stubborn: bool = False) -> Started:
        if is_stubborn:
            (tmp_path / "stubborn").touch()
        limit_s = "0.5" if is_stubborn else str(LONGEST_S)
        parent = subprocess.Popen(
            # -P: the harness is that of the repository here, and for its children the stand-in.
            [sys.executable, "-P", "-c", PARENT, kind, str(tmp_path), config, limit_s],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "STAND_IN": str(tmp_path)},
        )
        everything.append(psutil.Process(parent.pid))
        deadline = time.monotonic() + LONGEST_S
        is_ready = (tmp_path / "healthy").exists if kind == "server" else lambda: True
        while len(files := list(tmp_path.glob("*.pids"))) < KINDS[kind].children or not is_ready():
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        children = {}
        for file in files:
            child, *more = map(psutil.Process, map(int, file.read_text().split()))
            children[child] = tuple(more)
            everything.extend((child, *more))
        return Started(parent, tmp_path, children)

    yield call
    for each in everything:  # of a test that failed
        if each.is_running():
            each.kill()


def still_alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that do not end; one that has ended may wait for ever for its parent to ask."""

    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + LONGEST_S
    while (left := list(filter(runs, processes))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@pytest.mark.parametrize(
    ("number", "is_stubborn"),
    [
        (signal.SIGINT, False),
        (signal.SIGTERM, True),
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_outlives_the_parent(
    start: Starter, kind: str, number: Signals, is_stubborn: bool
) -> None:
    """Who listens is asked first, so that a run can be resumed; who does not is killed."""
    started = start(kind, is_stubborn=is_stubborn)
    assert all(os.getsid(child.pid) == child.pid for child in started.children)
    started.parent.send_signal(number)
    started.parent.communicate()
    assert started.parent.returncode == (-9 if number == signal.SIGKILL else 130)
    assert still_alive(started.everything) == []
    asked = {int(file.stem) for file in started.place.glob("*.stopped")}
    assert asked == (set() if is_stubborn else {child.pid for child in started.children})


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_that_is_killed_is_reported_and_leaves_nothing(start: Starter, kind: str) -> None:
    started = start(kind)
    for child in started.children:
        child.kill()
    out, _ = started.parent.communicate(timeout=LONGEST_S)
    assert json.loads(out) == KINDS[kind].when_killed
    assert still_alive(started.everything) == []


# --- one by one -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (3, "exit status 3"),
        (-signal.SIGKILL, "ended by SIGKILL (out of memory?)"),
        (-signal.SIGSEGV, "ended by SIGSEGV"),
        (-40, "ended by signal 40"),
    ],
)
def test_how_a_child_ended_is_told(status: int, words: str) -> None:
    assert str(Ending(status)) == words


def test_a_limit_ends_the_waiting_and_not_the_child() -> None:
    with ChildCleanup(LONGEST_S) as children:
        child = children.start(ChildSpec([sys.executable, "-c", "input()"], stdin=None))
        assert child.wait(LONGEST_S) == Ending(1)
        sleeper = children.start(ChildSpec(["sleep", "600"]))
        assert sleeper.wait(0.01) is None
        assert sleeper.poll() is None
    assert sleeper.poll() == Ending(-signal.SIGTERM)


def test_a_divided_run_is_given_the_time_that_its_workers_have_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit_s in (reaper.STOP_LIMIT_S, 600.0):
        monkeypatch.setattr(reaper, "STOP_LIMIT_S", limit_s)
        of_worker, of_divided = RunCleanup().grace_s, RunCleanup(of_divided_run=True).grace_s
        after_it_s = reaper.LEFTOVER_LIMIT_S + reaper.MEMORY_LIMIT_S
        assert of_worker == limit_s
        assert of_divided > of_worker + limit_s + after_it_s


# Its child starts a sleeper and ends at once: nobody is left that could end the sleeper.
LEAVES_ONE = """
import subprocess, sys
none = subprocess.DEVNULL
print(subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=none, stderr=none).pid)
"""


def test_what_a_run_leaves_behind_is_killed_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(reaper, "LEFTOVER_LIMIT_S", 0.2)
    with subprocess.Popen(["sleep", "600"]) as mine:
        with (tmp_path / "out").open("w+b") as out, RunCleanup() as children:
            child = children.start(ChildSpec([sys.executable, "-c", LEAVES_ONE], stdout=out))
            assert child.wait() == Ending(0)
            left = psutil.Process(int((tmp_path / "out").read_text()))
        assert still_alive([left]) == []
        assert mine.poll() is None, "what was there before is none of the run's"
        mine.kill()
    (record,) = caplog.records
    assert (record.levelno, record.args) == (logging.WARNING, (1,))


@pytest.mark.parametrize(("then", "is_said"), [((9_000_000_000,), True), ((9e9, 1e9), False)])
def test_gpu_memory_that_does_not_come_back_is_logged(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    then: tuple[float, ...],
    is_said: bool,
) -> None:
    """Where NVML tells of any; a run's memory may take a moment to come back."""
    monkeypatch.setattr(reaper, "MEMORY_LIMIT_S", 0.5 if is_said else 60)
    told = iter((1_000_000_000, *then))
    last = then[-1]
    monkeypatch.setattr(hardware, "gpu_memory_bytes", lambda _: (next(told, last), "NVML"))
    with RunCleanup():
        pass
    assert [record.args for record in caplog.records] == ([(9.0, 1.0)] if is_said else [])


def test_a_run_with_much_to_report_ends_and_may_be_asked_again() -> None:
    """More than a pipe holds, which is only read after the end."""
    config = compose("experiment=demo", "engine=replay", "engine.run=x").model_dump(mode="json")
    config["engine"]["run"] = "x" * 200_000
    with RunCleanup() as children:
        started = RunChild(children, RunSpec(config, prefix=""))
        report = started.finish()
        assert report.status == 1
        assert report.error is not None
        assert "File name too long" in report.error
        assert len(report.error) == MAX_ERROR + 1
        assert started.finish() == report


def test_a_run_whose_parent_is_gone_before_it_has_sent_everything_does_not_begin() -> None:
    with RunCleanup() as children:
        command = [sys.executable, "-m", "harness", "run", "--composed"]
        assert children.start(ChildSpec(command, stdin=b'{"config": {')).wait() == Ending(130)
