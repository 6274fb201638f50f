"""What each command ends with, in every situation that the documentation names.

Each is reached by the command itself, in this process. Not here, because it takes a process that is
killed or a night of several runs: an engine that dies twice (1), runs and sweeps that are stopped
(130), nights that found something worse (5); see ``e2e/test_crash.py``, ``test_shards.py`` and
``test_nightly.py``.
"""

import fcntl
import os
import re
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness import errors
from harness.cli.main import main
from harness.store.fingerprint import fingerprint
from harness.store.run_files import Run
from tests.conftest import REPOSITORY
from tests.fault_server import FaultServer, chats, refuses, serving
from tests.unit.report_runs import make_run
from tests.unit.test_shards import Parts

RECORDING = REPOSITORY / "tests" / "golden" / "runs" / "smollm2_demo"
BASELINE = REPOSITORY / "results" / "baselines" / "smollm2_135m_standard_vllm.json"
REPLAY = ("run", "experiment=demo", "engine=replay", f"engine.run={RECORDING}", "canary=false")
OFFLINE = ("run", "offline=true", "engine=transformers")


class Place(NamedTuple):
    """Where a situation is set up."""

    folder: Path
    server: FaultServer
    patch: pytest.MonkeyPatch
    stack: ExitStack
    """Ends with the test."""

    @property
    def results(self) -> str:
        return str(self.folder / "results")

    def finished(self, name: str, **shape: Any) -> str:
        """A complete run with its result."""
        return str(make_run(self.folder / name, run_id=name, problems=5, **shape))

    def unfinished(self) -> str:
        """A run without some of its answers."""
        run = self.finished("unfinished")
        lines = Path(run, "completions.jsonl").read_bytes().splitlines(keepends=True)
        Path(run, "completions.jsonl").write_bytes(b"".join(lines[:-1]))
        Path(run, "result.json").unlink()
        return run

    def asks(self, *overrides: str) -> list[str]:
        """A run that asks the server."""
        return [
            *("run", "engine=openai", f"engine.base_url={self.server.url}", "engine.mode=chat"),
            *("engine.concurrency=1", "engine.max_retries=0", "model=remote", "model.name=hosted"),
            *("protocol=greedy", "canary=false", f"results_dir={self.results}", *overrides),
        ]

    def shards(self, *numbers: int) -> list[Run]:
        """Complete shards, of two, of one run."""
        parts = Parts(self.folder / "results")
        return [parts.make(number) for number in numbers]


Situation = Callable[[Place], list[str]]


def replays(*overrides: str) -> Situation:
    return lambda place: [*REPLAY, f"results_dir={place.results}", *overrides]


def has(*arguments: str) -> Situation:
    return lambda _: list(arguments)


def on_a_run(*arguments: str, **shape: Any) -> Situation:
    """A command that is given a run."""
    return lambda place: [*arguments, place.finished("run", **shape)]


# --- what it takes more to set up -----------------------------------------------------------------


def stdout_is_full(place: Place) -> list[str]:
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - until the test ends
    place.stack.enter_context(full)
    place.patch.setattr(sys, "stdout", full)
    return ["tasks"]


def is_being_written(place: Place) -> list[str]:
    run = place.finished("run")
    place.stack.enter_context(Run(Path(run)))
    return ["score", run]


def a_run_is_damaged(place: Place) -> list[str]:
    run = place.finished("run")
    with Path(run, "verdicts.jsonl").open("a", encoding="utf-8") as file:
        file.write("no verdict\n" * 2)
    return ["validate", run]


def failed_too_often(place: Place) -> list[str]:
    place.server.answers = [*[RIGHT] * 5, refuses(400, "no")]
    return place.asks("tasks=[math_mini]")


def some_failed(place: Place) -> list[str]:
    place.server.answers = [RIGHT, refuses(400, "no"), RIGHT]
    return place.asks("tasks=[math_mini:3]", "limits.stop_at_error_fraction=null")


def all_is_refused(place: Place) -> list[str]:
    place.server.answers = [refuses(400, "no")]
    return place.asks("tasks=[math_mini:6]")


def the_key_is_wrong(place: Place) -> list[str]:
    place.server.answers = [refuses(401, "no")]
    return place.asks("tasks=[math_mini:6]")


def nobody_listens(place: Place) -> list[str]:
    return [*place.asks("tasks=[math_mini:1]"), "engine.base_url=http://127.0.0.1:9/v1"]


def a_tracker_is_missing(place: Place) -> list[str]:
    place.patch.setitem(sys.modules, "wandb", None)
    return replays("tracker=wandb")(place)


def no_browser(place: Place) -> list[str]:
    place.patch.setenv("PATH", str(place.folder))
    place.patch.delenv("BROWSER_PATH", raising=False)
    return on_a_run("report", "--plots", "-o", str(place.folder / "page"))(place)


def a_worse_run(place: Place) -> list[str]:
    """Of the same problems, the first half of which is not solved any more."""
    text = BASELINE.read_text(encoding="utf-8")
    worse = place.folder / "worse.json"
    worse.write_text(text.replace('"status":"correct"', '"status":"incorrect"'), encoding="utf-8")
    assert worse.read_text(encoding="utf-8") != text
    return ["compare", str(BASELINE), str(worse)]


def other_tasks(place: Place) -> list[str]:
    return ["compare", str(BASELINE), place.finished("other")]


def shards_of_one_run(place: Place) -> list[str]:
    return ["merge", *(str(run.folder) for run in place.shards(0, 1))]


def a_shard_is_missing(place: Place) -> list[str]:
    return ["merge", *(str(run.folder) for run in place.shards(0))]


def shards_of_two_runs(place: Place) -> list[str]:
    one, other = place.shards(0, 1)
    manifest = other.read_manifest()
    fields = {name: {**each, "top_p": 0.5} for name, each in manifest.protocol_fields.items()}
    prints = {name: fingerprint(each) for name, each in fields.items()}
    update = {"protocol_fields": fields, "protocol_fingerprints": prints}
    other.write_manifest(manifest.model_copy(update=update))
    return ["merge", str(one.folder), str(other.folder)]


def a_signal_comes(place: Place) -> list[str]:
    """While it waits for its input: it has read all that was in the pipe."""
    pipe = place.folder / "answers.jsonl"
    os.mkfifo(pipe)

    def send() -> None:
        with pipe.open("wb") as stream:
            stream.write(b"\n")
            stream.flush()
            while any(fcntl.ioctl(stream, termios.FIONREAD, bytes(4))):
                threading.Event().wait(0.01)
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(0.1)

    threading.Thread(target=send, daemon=True).start()
    return ["grade", "math", str(pipe)]


RIGHT = chats({"content": "It is \\boxed{2}."})
ONE_TASK = "tasks=[math_mini:20]"
SITUATIONS: dict[int, dict[str, Situation]] = {
    0: {
        "help": has("--help"),
        "help of run": has("run", "--help"),
        "the version": has("--version"),
        "a plan": replays("--dry-run"),
        "the configuration": replays("--cfg", "job"),
        "a run": replays(ONE_TASK),
        "a run is scored again": on_a_run("score"),
        "a run is sound": on_a_run("validate"),
        "a run that is no worse": has("compare", str(BASELINE), str(BASELINE)),
        "a page": lambda place: ["report", place.finished("run"), "-o", f"{place.folder}/page"],
        "no run to rank": lambda place: ["leaderboard", "--results-dir", str(place.folder)],
        "a shard": replays("shards=20", "shard=0", ONE_TASK),
        "shards of one run": shards_of_one_run,
        "an export": has("export", "lm-eval", str(BASELINE)),
        "claims without a run": has("claims", "--json"),
        "what follows from a model": has("derive", "V3"),
        "the state of a run": on_a_run("status"),
        "completion": has("completion", "bash"),
        "tasks": has("tasks"),
        "models": has("models"),
        "the schema": has("schema"),
    },
    1: {"stdout cannot be written": stdout_is_full},
    2: {
        "no command": has(),
        "an unknown command": has("frobnicate"),
        "an unknown option": has("run", "--nope"),
        "an unknown key": has("run", "nope=1"),
        "an unknown choice": has("run", "protocol=nope"),
        "a value that cannot be": has("run", "seed=-1"),
        "an unknown task": has("run", "tasks=[nope]"),
        "a folder that is no model": lambda place: ["run", f"model={place.folder}"],
        "a recording that is none": replays("engine.run=/nope"),
        "a recording of other problems": replays("tasks=[humaneval]"),
        "a shard that does not exist": replays("shards=2", "shard=2"),
        "more shards than requests": replays("shards=41", "shard=40"),
        "a key that is not set": lambda place: place.asks("engine.api_key_env=NOT_SET_KEY"),
        "results that cannot be written": replays("results_dir=/dev/null/results"),
        "a run that is not there": lambda place: ["score", "nope", "--results-dir", place.results],
        "a run that is being written": is_being_written,
        "a run that is not finished": lambda place: ["score", place.unfinished()],
        "a run that is damaged": a_run_is_damaged,
        "a run without a result": lambda place: ["compare", str(BASELINE), place.unfinished()],
        "one run given twice": lambda place: ["report", *[place.finished("run")] * 2],
        "a margin that cannot be": has("compare", "--margin", "-1", str(BASELINE), str(BASELINE)),
        "nothing of that name to rank": has("leaderboard", "--model", "nope"),
        "a shard is missing": a_shard_is_missing,
        "an export of no run": has("export", "lm-eval", "nope"),
        "an unknown claim": has("claims", "--id", "nope"),
        "an unknown model": has("derive", "nope"),
        "answers that are not there": has("grade", "math", "/nope.jsonl"),
        "a night of nothing": has("nightly", "nope=1"),
        "no state of no run": has("status", "nope"),
    },
    3: {
        "a model that is not here": has(*OFFLINE, "model=nobody/has-this"),
        "data that is not here": has(*OFFLINE, "tasks=[math500]", "model=nobody/has-this"),
        "a server that is not there": nobody_listens,
        "a key that is refused": the_key_is_wrong,
        "all requests are refused": all_is_refused,
        "a tracker is not installed": a_tracker_is_missing,
        "pictures without a browser": no_browser,
    },
    4: {
        "more errors than allowed": some_failed,
        "more truncation than allowed": replays(ONE_TASK, "limits.max_truncated_fraction=0"),
        "too many errors to go on": failed_too_often,
        "known problems show a fault": replays("canary=true", "sandbox.time_limit_s=1e-9"),
    },
    5: {"a run that is worse": a_worse_run},
    6: {"a run of other tasks": other_tasks, "shards of two runs": shards_of_two_runs},
    130: {"a signal": a_signal_comes},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:
        server = stack.enter_context(serving())
        server.answers = [RIGHT]
        yield Place(tmp_path, server, monkeypatch, stack)


def status_of(arguments: list[str]) -> int:
    """What a shell would see; argparse ends ``--help`` by itself."""
    try:
        return main(arguments)
    except SystemExit as end:
        return 0 if end.code is None else int(end.code)


@pytest.mark.parametrize(
    ("status", "situation"),
    [
        pytest.param(status, situation, id=f"{status}-{name}")
        for status, situations in SITUATIONS.items()
        for name, situation in situations.items()
    ],
)
def test_the_exit_status_is_the_documented_one(
    status: int, situation: Callable[[Place], list[str]], place: Place
) -> None:
    if situation is stdout_is_full and not os.access("/dev/full", os.W_OK):
        pytest.skip("needs /dev/full")
    assert status_of(situation(place)) == status


@pytest.mark.parametrize("page", ["troubleshooting.md", "results.md"])
def test_every_exit_status_is_on_the_page(page: str) -> None:
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    shown = {int(number) for number in re.findall(r"^\| (\d+) \|", text, re.M)}
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    raised = {each.exit_status for each in classes if hasattr(each, "exit_status")}
    assert shown == SITUATIONS.keys()
    assert raised <= shown
