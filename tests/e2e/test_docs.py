"""Every command that the documentation shows, run as it stands there.

A benchmark is planned (``--dry-run``): those of a GPU cannot run here, and those that can have
tests of their own. What is not ours (pip, systemctl …) is checked where it names things of ours.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.e2e.conftest import GOLDEN, command, last_line
from tests.facts import known

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
BASELINES = REPOSITORY / "results" / "baselines"
CASES = REPOSITORY / "tests" / "unit" / "cases"
FOREIGN = {
    *("pip", "hf", "source", "export", "eval", "cp", "crontab", "systemctl", "sbatch", "uv"),
    *("python", "git", "mkdir", "mlflow", "wandb", "cd", "sudo", "squeue", "apt-get", "sysctl"),
    *("docker", "nvidia-smi", "journalctl", "loginctl", "ray", "pytest", "ls", "echo", "df"),
    "inspect",
}
"""Programs that a page may name and that no test starts."""

# Runs commands one after another in one process: loading the packages takes longer than each.
DRIVER = """
import contextlib, io, json, os, sys
from harness.cli.main import main
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(json.loads(line))
        except SystemExit as end:
            status = end.code or 0
    said = json.dumps({"status": status, "out": out.getvalue(), "err": err.getvalue()})
    print(said, flush=True)
"""


class Shown(NamedTuple):
    """A command on a page."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def shown_commands() -> Iterator[Shown]:
    """Every line of every shell block, without what a page says behind ``#``."""
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                if words := shlex.split(line, comments=True):
                    yield Shown(page.name, tuple(words))


SHOWN = sorted(set(shown_commands()))
OURS = [each for each in SHOWN if each.words[0] == "harness"]
OTHERS = [each for each in SHOWN if each.words[0] != "harness"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one run, which answers from the golden recording."""
    folder = tmp_path_factory.mktemp("docs")
    arguments = ["run", "experiment=demo", "engine=replay", f"engine.run={GOLDEN}"]
    done = subprocess.run(command(folder, *arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "path").write_text(last_line(done)["path"], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run_command() -> Iterator[Callable[[list[str]], dict[str, Any]]]:
    """Runs one command line of ours; returns status, stdout and stderr."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "COLUMNS": "200"},
        text=True,
    )

    def call(arguments: list[str]) -> dict[str, Any]:
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(json.dumps(arguments) + "\n")
        driver.stdin.flush()
        found: dict[str, Any] = json.loads(driver.stdout.readline())
        return found

    yield call
    driver.communicate()


@pytest.fixture
def arguments_of(results: Path, request: pytest.FixtureRequest) -> Callable[[Shown], list[str]]:
    """Puts things that are there in the place of what a page calls RUN or /models/mine."""

    def arguments(shown: Shown) -> list[str]:
        run = (results / "path").read_text(encoding="utf-8")
        stands_for = {
            r"\bRUN\b": run,
            r"\bBASELINE\b": str(BASELINES / "smollm2_135m_standard_transformers.json"),
            r"\bCANDIDATE\b": str(BASELINES / "smollm2_135m_standard_vllm.json"),
            r"\$SLURM_ARRAY_TASK_ID": "3",
            r"^DIR$": str(results / "pages"),
            r"^(samples_.*\.jsonl|evalplus_.*\.json)$": rf"{CASES}/\1",
            r"^log\.eval$": str(CASES / "foreign" / "inspect_math_mini.eval"),
        }
        words = list(shown.words[1:])
        if "my-things" in words:
            things = results / ("new" if words[0] == "new" else "things")
            if things.name == "things" and not things.exists():
                make = command(results, "new", "task", "mysums", "--dir", str(things))
                subprocess.run(make, check=True, capture_output=True)
            stands_for["^my-things$"] = str(things)
        if any("=/models/" in word for word in words):
            stands_for["/models/.*"] = str(request.getfixturevalue("tiny_model"))
        if any("=/data/" in word for word in words):
            stands_for["/data/.*"] = str(request.getfixturevalue("shared_data"))
        for pattern, real in stands_for.items():
            words = [re.sub(pattern, real, word) for word in words]
        is_plan = words[0] in {"run", "nightly"} and not {"--cfg", "--help"} & set(words)
        return [*words, "--dry-run"] if is_plan else words

    return arguments


@pytest.mark.parametrize("shown", OURS, ids=str)
def test_a_command_does_what_the_page_says(
    shown: Shown,
    run_command: Callable[[list[str]], dict[str, Any]],
    arguments_of: Callable[[Shown], list[str]],
) -> None:
    done = run_command(arguments_of(shown))
    assert done["status"] == 0, done["err"]
    assert done["out"] or done["err"]


@pytest.mark.parametrize("shown", OTHERS, ids=str)
def test_what_is_not_ours_names_what_is_there(shown: Shown) -> None:
    first = shown.words[0]
    if first.startswith(("./", "scripts/")):
        assert os.access(REPOSITORY / first, os.X_OK), "no such script"
    else:
        assert first in FOREIGN
    text = " ".join(shown.words)
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    for extras in re.findall(r"(?:gegenprobe|\.)\[(.*?)\]", text):
        for extra in extras.split(","):
            assert re.search(rf"^{extra} = \[", project, re.M), f"no extra {extra}"
    if first == "hf" and "--revision" in shown.words:
        models = [
            yaml.safe_load(f.read_text("utf-8")) for f in (REPOSITORY / "conf/model").iterdir()
        ]
        pinned = {(m["hub_id"], m["revision"]) for m in models if m["kind"] == "hub"}
        revision = shown.words[shown.words.index("--revision") + 1]
        assert (shown.words[2], revision) in pinned


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_sizes_of_the_distills_are_the_derived_ones() -> None:
    from harness.quantities import quantity

    context = 34_816
    rows = re.findall(
        r"^\| `(r1_\w+)` \| ([\d.]+) GB \| ([\d.]+) GB",
        (REPOSITORY / "docs" / "gpu.md").read_text(encoding="utf-8"),
        re.M,
    )
    assert len(rows) == 6
    for name, weights, cache in rows:
        weight_bytes = quantity(f"{name}_weight_bytes_bf16").value
        cache_bytes = known(quantity(f"{name}_kv_bytes_per_token").value) * context
        assert (weights, cache) == (f"{known(weight_bytes) / 1e9:.1f}", f"{cache_bytes / 1e9:.1f}")
