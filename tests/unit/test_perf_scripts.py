"""What scripts/perf measure is a command that did its work."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.scripts import load_script

COMMANDS = Path(__file__).resolve().parents[2] / "scripts" / "perf" / "commands"


def test_a_command_that_fails_gives_no_seconds() -> None:
    script = load_script(COMMANDS)
    assert script.cpu_s([sys.executable, "-c", "raise SystemExit(5)"], {0, 5}) > 0
    with pytest.raises(SystemExit, match="status 5: why"):
        script.cpu_s(
            [sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(5)"], {0}
        )


def test_no_run_is_no_measurement() -> None:
    done = subprocess.run(
        [sys.executable, str(COMMANDS), "--times", "0"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--times 0" in done.stderr
