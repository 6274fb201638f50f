"""What cannot be printed is not the run's fate."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import GOLDEN, Harness, command, manifest
from tests.e2e.test_secrets import CHAT

REPLAY = ["run", "experiment=demo", "engine=replay", f"engine.run={GOLDEN}", "canary=false"]


def shell(
    words: list[str], redirected: str, tmp_path: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command with its streams as a shell redirects them."""
    line = f"{shlex.join(command(tmp_path, *words))} {redirected}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("redirected", "status"),
    [
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("| true", 0),
        ("2>/dev/full", 0),
        (">/dev/full", 1),
    ],
)
def test_a_finished_run_is_complete_whatever_becomes_of_its_output(
    redirected: str, status: int, tmp_path: Path
) -> None:
    if "/dev/full" in redirected and not os.access("/dev/full", os.W_OK):
        pytest.skip("needs /dev/full")
    done = shell(REPLAY, redirected, tmp_path)
    assert done.returncode == status, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert manifest(folder)["status"] == "complete"
    assert manifest(folder)["error"] is None
    lines = (folder / "completions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len([json.loads(line) for line in lines]) == 40
    assert "resume=" not in done.stderr
    if redirected == ">/dev/full":
        last = done.stderr.splitlines()[-1]
        assert last.startswith("harness: ")
        assert last.endswith(": No space left on device")


@pytest.mark.parametrize("redirected", ["| true", ">&-", "2>/dev/full"])
def test_so_with_other_commands(redirected: str, tmp_path: Path) -> None:
    done = shell(["leaderboard", "--results-dir", str(tmp_path)], redirected, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Exception" not in done.stderr


def test_a_try_that_failed_before_anything_was_kept_leaves_no_folder(
    harness: Harness, tmp_path: Path
) -> None:
    """A server that is not there, and a key that is not set: going on would help nobody."""
    for more in ([], ["engine.api_key_env=NOT_SET_API_KEY"]):
        done = harness(*CHAT, "engine.base_url=http://127.0.0.1:9/v1", *more)
        assert done.returncode == (2 if more else 3)
        assert "resume=" not in done.stderr
        assert not list(tmp_path.glob("runs/*"))
