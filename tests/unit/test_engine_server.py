"""A server of our own, without vLLM: how it is started, watched, read and ended."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from harness.engines import server_process
from harness.engines.last_words import last_words
from harness.engines.request_error import one_line
from harness.engines.server_process import flags, free_port, serving
from harness.engines.serving_metrics import Meter, parse
from harness.engines.vllm_server_engine import _loaded
from harness.errors import ConfigError, UnavailableError
from harness.io import redaction
from tests.facts import known, mentions

# Stands for vLLM's module: it takes --host and --port, and a last word that says how it behaves.
STAND_IN = """
import http.server, os, signal, subprocess, sys, time
port, how = int(sys.argv[sys.argv.index("--port") + 1]), sys.argv[-1]
print("(APIServer pid=1) INFO 11-22 00:43:51 [api_utils.py:347] version", flush=True)
if how == "refuses":
    print("api_server.py: error: argument --max-num-seqs: invalid int value: 'x'")
    sys.exit(2)
if how == "taken_once" and not os.path.exists("taken"):
    open("taken", "w").close()
    sys.exit("OSError: [Errno 98] Address already in use")
if how == "breaks":
    sys.exit("(Worker pid=7) ERROR 11-22 00:44:15 [x.py:953] ModuleNotFoundError: No module numba")
if how == "sleeps":
    time.sleep(600)
child = subprocess.Popen(["sleep", "600"])
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(os.environ["VLLM_API_KEY"].encode())
    def log_message(self, *args):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment in which vLLM's module is the stand-in."""
    folder = tmp_path / "vllm" / "entrypoints" / "openai"
    folder.mkdir(parents=True)
    for package in (folder, *list(folder.parents)[:2]):
        (package / "__init__.py").touch()
    (folder / "api_server.py").write_text(STAND_IN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(server_process, "ANSWER_LIMIT_S", 30.0)
    return {**os.environ, "PYTHONPATH": str(tmp_path)}


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    def runs(process: psutil.Process) -> bool:
        try:
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    deadline = time.monotonic() + 30
    while (left := list(filter(runs, processes))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("how", ["serves", "stubborn"])
def test_the_whole_group_ends_with_the_context(
    stand_in: dict[str, str], tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_process, "STOP_LIMIT_S", 1.0)
    with serving([how], stand_in, tmp_path / "log", 60) as server:
        assert server.get("/health") == server.api_key
        assert server.get("/nothing") is None
        assert server.why_gone() is None
        started = [psutil.Process(pid) for pid in server.pids()]
        assert len(started) == 2
        assert os.getsid(started[0].pid) == started[0].pid != os.getsid(0)
    assert alive(started) == []


def test_a_server_that_dies_says_why(stand_in: dict[str, str], tmp_path: Path) -> None:
    with serving(["serves"], stand_in, tmp_path / "log", 60) as server:
        os.kill(server.pids()[0], signal.SIGKILL)
        assert mentions(server.why_gone() or "", "status -9: version", f"(log: {tmp_path / 'log'})")


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("refuses", ConfigError, "status 2 … argument --max-num-seqs: invalid int"),
        ("breaks", UnavailableError, "ModuleNotFoundError: No module numba"),
    ],
)
def test_a_server_that_does_not_start_says_why(
    stand_in: dict[str, str], tmp_path: Path, how: str, error: type[Exception], words: str
) -> None:
    with (
        pytest.raises(error, match=r"^engine=vllm_server: ") as caught,
        serving([how], stand_in, tmp_path / "log", 60),
    ):
        pass
    assert mentions(str(caught.value), words)
    assert str(tmp_path / "log") in str(caught.value)


def test_a_server_that_takes_too_long_is_given_up(stand_in: dict[str, str], tmp_path: Path) -> None:
    with (
        pytest.raises(UnavailableError, match=r"^engine\.start_limit_s=0\.5: "),
        serving(["sleeps"], stand_in, tmp_path / "log", 0.5),
    ):
        pass
    ours = psutil.Process().children(recursive=True)
    assert [each for each in ours if "sleeps" in each.cmdline()] == []


def test_a_port_that_was_taken_is_no_reason_to_give_up(
    stand_in: dict[str, str], tmp_path: Path
) -> None:
    with serving(["taken_once"], stand_in, tmp_path / "log", 60) as server:
        assert server.why_gone() is None
    assert (tmp_path / "log").read_text().count("Address already in use") == 1


def test_a_free_port_is_free() -> None:
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", free_port()))


def test_arguments_are_spelled_as_on_the_command_line() -> None:
    given = {
        "max_num_seqs": 8,
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "quantization": None,
        "speculative_config": {"method": "ngram"},
        "allowed_media_domains": ["a", "b"],
    }
    assert flags(given) == [
        "--max-num-seqs", "8", "--enforce-eager", "--no-enable-prefix-caching",
        "--speculative-config", '{"method": "ngram"}', "--allowed-media-domains", "a", "b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("log", "kind", "words"),
    [
        (
            "(EngineCore pid=3) ERROR 11-22 00:44:18 [a.py:1] Traceback (most recent call last)\n"
            "(EngineCore pid=3) ERROR 11-22 00:44:18 [a.py:1] ValueError: no room for the cache\n"
            "RuntimeError: Engine core initialization failed. See root cause above.\n",
            "ValueError",
            "ValueError: no room for the cache",
        ),
        ("RuntimeError: Engine core initialization failed.\n", "RuntimeError", "RuntimeError: E"),
        ("torch.OutOfMemoryError: CUDA out of memory\n", "OutOfMemoryError", "torch.OutOfMemory"),
        ("one\n\ntwo\nthree\nKilled", "", "two | three | Killed"),
        ("", "", "nothing"),
    ],
)
def test_the_reason_is_found_in_a_log(log: str, kind: str, words: str) -> None:
    found_kind, found = last_words(log)
    assert found_kind == kind
    assert found.startswith(words)


def test_what_was_loaded_is_read_from_the_log() -> None:
    line = (
        "(EngineCore pid=5) INFO 11-22 00:51:17 [core.py:133] Initializing a V1 LLM engine (v0.32.0"
        ") with config: model='/m', dtype=torch.bfloat16, quantization={}, "
        "quantization_config=None, device_config=cuda, seed=0\n"
    )
    assert _loaded(line.format("None")) == ("0.32.0", "bfloat16", None, "cuda")
    assert _loaded(line.format("fp8"))[1:3] == ("bfloat16", "fp8")
    assert _loaded("")[:2] == ("unknown", "unknown")


METRICS = """
# HELP vllm:num_preemptions_total Cumulative number of preemptions.
# TYPE vllm:num_preemptions_total counter
vllm:num_preemptions_total{{engine="0",model_name="a}}b"}} {preempted}
vllm:num_preemptions_total{{engine="1",model_name="a}}b"}} 2.0
vllm:num_requests_running{{engine="0"}} 3.0
vllm:generation_tokens_total{{engine="0"}} {generated}
vllm:iteration_tokens_total_count{{engine="0"}} {steps}
vllm:spec_decode_num_draft_tokens_total{{engine="0"}} {drafted}
vllm:spec_decode_num_accepted_tokens_total{{engine="0"}} {accepted}
vllm:num_preemptions_created{{engine="0"}} 1.79e+09
"""


def readings(*each: Mapping[str, float] | None) -> Callable[[], str | None]:
    texts = [None if values is None else METRICS.format(**values) for values in each]
    return lambda: texts.pop(0) if len(texts) > 1 else texts[0]


BEFORE = {"preempted": 1, "generated": 10, "steps": 5, "drafted": 4, "accepted": 4}
AFTER = {"preempted": 4, "generated": 70, "steps": 25, "drafted": 24, "accepted": 9}


def test_engines_are_summed_and_what_was_before_is_left_out() -> None:
    stats = Meter(readings(BEFORE, AFTER)).stats()
    assert (known(stats).preemptions, known(stats).steps, known(stats).tokens_per_step_mean) == (
        3,
        20,
        3.0,
    )
    assert (known(stats).draft_tokens, known(stats).accepted_draft_tokens) == (20, 5)
    assert known(stats).draft_acceptance_fraction == 0.25
    assert known(stats).prefix_cache_hit_tokens is None
    assert (known(stats).looks, known(stats).running_mean, known(stats).running_max) == (
        0,
        None,
        None,
    )


def test_the_last_reading_before_a_death_counts() -> None:
    meter = Meter(readings(BEFORE, AFTER, None))
    assert meter.stats() == meter.stats()


def test_a_death_before_anybody_looked_is_not_a_count_of_zero() -> None:
    assert Meter(readings(BEFORE, None)).stats() is None


def test_a_server_that_was_started_anew_meanwhile_is_not_counted() -> None:
    assert known(Meter(readings(AFTER, BEFORE)).stats()).steps is None


def test_who_tells_nothing_has_no_stats() -> None:
    assert Meter(lambda: None).stats() is None
    assert Meter(lambda: "process_cpu_seconds_total 1.0\n").stats() is None


def test_what_rises_and_falls_is_looked_at_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engines.serving_metrics.LOOK_S", 0.01)
    seen: list[str] = []
    text = METRICS.format(**BEFORE) + 'vllm:kv_cache_usage_perc{engine="0"} 0.5\n'

    def read() -> str:
        seen.append(text)
        return text

    meter = Meter(read)
    with meter.watching():
        while len(seen) < 5:
            time.sleep(0.005)
    stats = meter.stats()
    assert (known(stats).running_mean, known(stats).running_max, known(stats).waiting_max) == (
        3.0,
        3,
        0,
    )
    assert known(stats).kv_cache_usage_max_fraction == 0.5
    assert known(stats).looks >= 3
    assert parse(text)["vllm:num_preemptions_total"] == [1.0, 2.0]


def test_a_short_key_is_never_in_a_description(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_kept", {"abc"})
    assert one_line("the key abc\n is wrong") == "the key *** is wrong"


def test_nothing_heavy_is_loaded() -> None:
    import subprocess

    program = (
        "import sys, harness.engines.build\n"
        "print({'torch', 'vllm', 'httpx2', 'transformers', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
