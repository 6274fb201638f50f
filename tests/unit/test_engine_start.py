"""What vLLM needs to start and what is said when it does not, tried without loading a model."""

import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from harness.engines.open_files import RESERVED, room_for
from harness.engines.start_log import start_log
from harness.engines.vllm_engine import _engine_pids, _failure
from harness.engines.vllm_environment import missing_settings
from harness.errors import ConfigError, UnavailableError


def test_no_compiler_is_needed_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_USE_FLASHINFER_SAMPLER", raising=False)
    assert missing_settings({})["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    monkeypatch.setenv("VLLM_USE_FLASHINFER_SAMPLER", "1")
    assert "VLLM_USE_FLASHINFER_SAMPLER" not in missing_settings({})


# --- open files -----------------------------------------------------------------------------------


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    """Puts limits on this process; only the soft one can be taken back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_room_is_made_for_every_connection(limits: tuple[int, int]) -> None:
    _, hard = limits
    if hard != resource.RLIM_INFINITY and hard < 4096 + RESERVED:
        pytest.skip(f"needs a hard limit above 4352 open files, here it is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    assert room_for(4096) == 4096
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 4096 + RESERVED
    assert room_for(10) == 10
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 4096 + RESERVED


def test_fewer_requests_go_out_where_the_system_gives_no_more_room() -> None:
    program = (
        "import resource\n"
        "from harness.engines.open_files import room_for\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (400, 600))\n"
        "print(room_for(1024), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(600 - RESERVED), "600"]
    assert "ulimit -n is 600" in done.stderr


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["EngineCore", "EngineCore_DP1", "VLLM_DP_Coordinator"])
def test_every_process_that_vllm_starts_is_watched(name: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,), name=name)
    process.start()
    try:
        assert process.pid in _engine_pids()
    finally:
        process.kill()
        process.join()


# --- why it did not start -------------------------------------------------------------------------

RAISED = RuntimeError(
    "Engine core initialization failed. See root cause above. Failed core proc(s): {}"
)
CHILD = """
import json, logging, logging.config, os
logging.config.dictConfig(json.load(open(os.environ["VLLM_LOGGING_CONFIG_PATH"])))
try:
    raise {error}
except Exception:
    logging.getLogger("vllm.v1.engine.core").exception("EngineCore failed to start.")
"""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("ValueError('To serve at least one request, 9.1 GiB KV cache is needed')", ConfigError),
        ("RuntimeError('CUDA error: out of memory')", UnavailableError),
    ],
)
def test_a_failed_start_is_told_in_vllms_own_words(error: str, kind: type[Exception]) -> None:
    with start_log() as log:
        subprocess.run(
            [sys.executable, "-c", CHILD.format(error=error)], check=True, capture_output=True
        )
        failure = _failure(RAISED, log)
    assert type(failure) is kind
    assert error.split("'")[1] in str(failure)
    assert "root cause" not in str(failure)
    assert "VLLM_LOGGING_CONFIG_PATH" not in os.environ


def test_what_vllm_raises_is_kept_where_it_says_more_or_nothing_was_logged() -> None:
    with start_log() as log:
        assert "own words" in str(_failure(ValueError("own words"), log))
        assert "root cause" in str(_failure(RAISED, log))


def test_the_users_own_logging_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_CONFIG_PATH", "/mine.json")
    with start_log() as log:
        assert os.environ["VLLM_LOGGING_CONFIG_PATH"] == "/mine.json"
        assert log.cause() is None
    assert os.environ["VLLM_LOGGING_CONFIG_PATH"] == "/mine.json"
