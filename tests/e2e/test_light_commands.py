"""What a command that runs nothing may import: none of the packages that take seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

HEAVY = {"torch", "transformers", "datasets", "evaluate", "pandas", "vllm", "accelerate"}
SLOW_PARTS = {"scipy.stats", "scipy.optimize", "statsmodels", "huggingface_hub"}
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
        (("models",), {"numpy", "scipy", "hydra"}),
        (("tasks",), {"numpy", "scipy", "hydra"}),
        (("schema",), {"numpy", "scipy", "hydra"}),
        (("claims",), {"hydra", "duckdb"}),
        (("derive", "V3"), {"hydra", "duckdb"}),
        (("leaderboard",), {"hydra", "scipy", "numpy", "harness.interop", "harness.metrics"}),
        (("status", str(RECORDING)), {"hydra", "duckdb"}),
        (("run", "--dry-run", "experiment=demo"), {"duckdb"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_no_heavy_package_is_imported(
    command: tuple[str, ...], also: set[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *command],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    status, *modules = done.stderr.splitlines()[-1].split()
    assert status == "0", done.stderr
    assert not (HEAVY | SLOW_PARTS | also) & set(modules)
