"""Standard streams that cannot be written end no command."""

import errno
import io
import sys
import threading

import pytest

from harness.io.redaction import redact
from harness.io.streams import SafeStream, lost_output, safe_streams


class Broken(io.StringIO):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, "No space left on device")


@pytest.mark.parametrize(
    ("number", "why"),
    [(errno.ENOSPC, "No space left on device"), (errno.EPIPE, None), (errno.EBADF, None)],
)
def test_a_failure_is_remembered_and_lost_where_somebody_reads(
    number: int, why: str | None
) -> None:
    stream = SafeStream(Broken(number))
    print("a", file=stream)
    print("b", file=stream, flush=True)
    assert stream.error is not None
    assert lost_output(stream) == why


def test_a_stream_that_works_is_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with safe_streams(str) as stdout:
        sys.stdout.write("a\n")
        stdout.writelines(["b\n", "c\n"])
        assert stdout.encoding
    assert capsys.readouterr().out == "a\nb\nc\n"
    assert lost_output(stdout) is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_what_the_encoding_lacks_is_written_out(encoding: str) -> None:
    written = io.BytesIO()
    stream = SafeStream(io.TextIOWrapper(written, encoding=encoding, newline=""))
    print("a \u03c0 \ud800 b", file=stream, flush=True)
    shown = written.getvalue().decode(encoding).replace("\u03c0", r"\u03c0")
    assert shown == "a \\u03c0 \\ud800 b\n"
    assert stream.error is None


def test_a_threads_traceback_on_stderr_holds_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE_API_KEY", "Zq7Xw9Kp3Vt5")
    # pytest's own hook would take it away
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)

    def fail() -> None:
        raise ValueError("Zq7Xw9Kp3Vt5\r")

    with safe_streams(redact):
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        sys.stderr.flush()
    err = capsys.readouterr().err
    assert "ValueError" in err
    assert "***" in err
    assert "Zq7Xw9Kp" not in err
