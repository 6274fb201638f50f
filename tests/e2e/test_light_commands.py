"""What a command that runs nothing may import: none of the packages that take seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import UserError
from tests.conftest import REPOSITORY

HEAVY = {"torch", "transformers", "datasets", "evaluate", "pandas", "vllm", "accelerate"}
SLOW_PARTS = {"scipy.stats", "scipy.optimize", "statsmodels", "huggingface_hub"}
SETTINGS = "harness.config.settings"
"""All engines, scorers and protocols, as the types of a run's configuration."""
RECORDING = REPOSITORY / "tests" / "golden" / "runs" / "smollm2_demo"
PROGRAM = """
import sys
from harness.cli.main import main
status = main(sys.argv[1:])
print(status, *sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "also"),
    [
        ((), {"rich", "pydantic", "yaml"}),
        (("models",), {"numpy", "scipy", "hydra", SETTINGS, "harness.store"}),
        (("tasks",), {"numpy", "scipy", "hydra", SETTINGS, "harness.store"}),
        (("schema",), {"numpy", "scipy", "hydra", "rich"}),
        (("claims",), {"hydra", "duckdb", "harness.interop.readers"}),
        (("derive", "V3"), {"hydra", "duckdb", SETTINGS, "harness.store"}),
        (("leaderboard",), {"hydra", "scipy", "numpy", "harness.interop", "harness.metrics"}),
        (("status", str(RECORDING)), {"hydra", "duckdb"}),
        (("run", "--dry-run", "experiment=demo"), {"duckdb"}),
    ],
    ids=lambda value: " ".join(value[:1]) if isinstance(value, tuple) else "",
)
def test_no_heavy_package_is_imported(
    command: tuple[str, ...], also: set[str], tmp_path: Path
) -> None:
    assert not (HEAVY | SLOW_PARTS | also) & imported(command, tmp_path)


def test_a_planned_sweep_imports_nothing_heavy(tmp_path: Path) -> None:
    modules = imported(("run", "--dry-run", "experiment=distill_table"), tmp_path)
    assert not (HEAVY | {"scipy.stats", "scipy.optimize", "statsmodels"}) & modules


def imported(command: tuple[str, ...], folder: Path) -> set[str]:
    """The modules that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    status, *modules = done.stderr.splitlines()[-1].split()
    assert status == ("0" if command else str(UserError.exit_status)), done.stderr
    return set(modules)
