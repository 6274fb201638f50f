"""The errors of vLLM's processes while they start; vLLM raises only "see root cause above"."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.engines.last_words import last_words
from harness.engines.vllm_environment import LOGGING_VARIABLES

_STREAM = "ext://sys.stderr"


class StartLog:
    """The errors that vLLM's processes logged."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def cause(self) -> tuple[str, str] | None:
        """Kind and text of the last error that is not a consequence; None if nothing was logged."""
        if self._file is None or not self._file.is_file():
            return None
        text = self._file.read_text(encoding="utf-8", errors="replace")
        return last_words(text) if text.strip() else None


@contextlib.contextmanager
def start_log() -> Iterator[StartLog]:
    """Makes vLLM's processes write their errors to a file too, from their start on."""
    if any(name in os.environ for name in LOGGING_VARIABLES):  # the user's logging is not changed
        yield StartLog(None)
        return
    with tempfile.TemporaryDirectory(prefix="gegenprobe-vllm-") as folder:
        file = Path(folder) / "errors.log"
        config = Path(folder) / "logging.json"
        config.write_text(json.dumps(_logging(file)), encoding="utf-8")
        os.environ["VLLM_LOGGING_CONFIG_PATH"] = str(config)
        try:
            yield StartLog(file)
        finally:
            os.environ.pop("VLLM_LOGGING_CONFIG_PATH", None)


def _logging(file: Path) -> dict[str, object]:
    """A configuration for ``logging.config.dictConfig``; the file gets errors only."""
    level = os.environ.get("VLLM_LOGGING_LEVEL", "ERROR").upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "stream": _STREAM, "level": level},
            "file": {"class": "logging.FileHandler", "filename": str(file), "level": "ERROR"},
        },
        "loggers": {"vllm": {"handlers": ["stderr", "file"], "level": level, "propagate": False}},
    }
