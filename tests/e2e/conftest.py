"""A model with random weights behind a tokenizer like R1's, and the command to run it with."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from harness.records import Completion
from tests.conftest import REPOSITORY
from tests.e2e.pages import LONGEST_MS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LONGEST_S = 120.0
GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"

Harness = Callable[..., subprocess.CompletedProcess[str]]
Hold = Callable[..., tuple[subprocess.Popen[str], psutil.Process]]


@pytest.fixture(scope="session")
def tiny_model(made_r1_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer Qwen2 that generates noise, quickly and greedily the same noise."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    shutil.copytree(made_r1_tokenizer, folder, dirs_exist_ok=True)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=151_665,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # vLLM on a CPU knows heads of 32 and more
        num_key_value_heads=1,
        eos_token_id=151_643,
        bos_token_id=151_646,
        max_position_embeddings=40_960,  # room for the default protocol
        tie_word_embeddings=True,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content in a folder of its own, first on the path."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", str(folder), str(REPOSITORY)],
        check=True, capture_output=True,
    )  # fmt: skip
    site = folder / "site"
    with zipfile.ZipFile(next(folder.glob("gegenprobe-*.whl"))) as wheel:
        wheel.extractall(site)
    return site


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Headless Chromium. Of a module, for Playwright runs but once at a time in a process."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"], timeout=LONGEST_MS
        )
        yield running
        running.close()


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """Runs the command as a user does; results go to a folder of the test's own."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(tmp_path, *arguments),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "120", **environment},
        )

    return call


def command(results: Path, *arguments: str) -> list[str]:
    """The command line; ``run`` is told where to keep its results."""
    head, *rest = arguments
    own = [f"results_dir={results}"] if head == "run" and "--help" not in rest else []
    own = ["--results-dir", str(results)] if head in {"score", "status", "validate"} else own
    return [sys.executable, "-m", "harness", head, *rest, *own]


def start(results: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts the command and goes on."""
    return subprocess.Popen(
        command(results, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


# Stops the harness's own processes at a place of their files: what a test does to one then, it
# does there, however slow the machine and the test are. Each place stops one process, once.
HOLD = """
import os, signal, sys, threading
from pathlib import Path

if "harness" in sys.orig_argv:
    # The kernel hangs up on a stopped process whose parent dies: no test is about that.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    from harness.io import jsonl

    names, count = os.environ["HOLD_AFTER"].split(":")
    lock, left = threading.Lock(), int(count)

    def wrote(file):
        global left
        with lock:
            left -= file.name in names.split(",")
            if left > 0:
                return
            try:
                Path(__file__).with_name("held").touch(exist_ok=False)
            except FileExistsError:
                return
            # This thread itself goes no further, and with it stops the whole process.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    append, write_atomically = jsonl.JsonlWriter.append, jsonl.write_atomically

    def held_append(self, record):
        append(self, record)
        wrote(self.file)

    def held_write_atomically(file, text):
        write_atomically(file, text)
        wrote(file)

    jsonl.JsonlWriter.append = held_append
    jsonl.write_atomically = held_write_atomically
"""


def wait_until(
    come: Callable[[], bool], process: subprocess.Popen[str], limit_s: float = LONGEST_S
) -> None:
    """Waits for something to come while a process runs."""
    deadline = time.monotonic() + limit_s
    while not come():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def hold(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hold]:
    """Starts the command; returns when one of its processes has stopped itself, and which.

    ``after="completions.jsonl,verdicts.jsonl:3"``: by the third line that a process has written
    into such files; of a document, when it has replaced it for the third time.
    """

    started: list[subprocess.Popen[str]] = []

    def call(
        results: Path, after: str, *arguments: str
    ) -> tuple[subprocess.Popen[str], psutil.Process]:
        folder = tmp_path_factory.mktemp("hold")
        (folder / "sitecustomize.py").write_text(HOLD, encoding="utf-8")
        path = os.pathsep.join(
            [str(folder), str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        process = start(results, *arguments, PYTHONPATH=path, HOLD_AFTER=after)
        started.append(process)
        deadline = time.monotonic() + 600
        while process.poll() is None:
            assert time.monotonic() < deadline, f"never came to {after}"
            if (folder / "held").exists() and (held := stopped(process.pid)) is not None:
                return process, held
            time.sleep(0.01)
        raise AssertionError(f"it ended too early: {process.communicate()}")

    yield call
    for process in started:  # of a test that failed: nobody else would end what is stopped
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            process.kill()
            process.communicate()


def stopped(pid: int) -> psutil.Process | None:
    """The process or the child of it that is stopped."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                if each.status() == psutil.STATUS_STOPPED:
                    return each
    return None


def stop(process: subprocess.Popen[str], number: int) -> tuple[int, str]:
    """Sends a signal, to a held process too; returns the exit status and what stderr said."""
    process.send_signal(number)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate()
    return process.returncode, err


def manifest(folder: Path) -> dict[str, Any]:
    """What a run says of itself."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def tiny_run(model: Path, *more: str) -> list[str]:
    """A run of the tiny model: 12 problems, greedy, cut off at 96 tokens."""
    return [
        "run",
        "model=local",
        f"model.path={model}",
        "engine=transformers",
        "engine.dtype=float32",
        "engine.max_batch_size=2",
        "protocol=greedy",
        "protocol.max_new_tokens=96",
        "protocol.force_think=true",
        "tasks=[humaneval:6,math_mini:6]",
        "limits.max_truncated_fraction=1",
        "pricing=cpu_cloud",
        *more,
    ]


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What stdout's last line says."""
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def answers(folder: Path) -> dict[str, Completion]:
    """A run's completions by request, as the program reads them: a field that an older recording
    lacks is None."""
    lines = [Completion.model_validate(line) for line in records(folder, "completions")]
    return {each.request_id: each for each in lines}


def records(folder: Path, name: str) -> list[dict[str, Any]]:
    """The lines of a run's file."""
    text = (folder / f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]
