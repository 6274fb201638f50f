"""Checks for packages that only some commands and options need."""

import os
import shutil
from pathlib import Path

from harness.doctor.finding import Finding
from harness.doctor.packages import demands, installed

GROUP = "extras"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# By the extra of pyproject.toml: what it is for.
EXTRAS = {
    "lora": "LoRA adapters with engine=transformers",
    "plots": "harness report --plots",
    "mlflow": "results to MLflow",
    "wandb": "results to Weights & Biases",
    "ray": "sweeps through Ray",
    "slurm": "sweeps through Slurm",
}


def look_at_extras() -> list[Finding]:
    """A browser to draw in, and the optional packages."""
    return [_browser(), *(_extra(name, purpose) for name, purpose in EXTRAS.items())]


def _browser() -> Finding:
    named = os.environ.get("BROWSER_PATH")
    found = named if named and Path(named).is_file() else None
    found = found or next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found:
        return Finding(group=GROUP, name="Chromium", status="ok", value=found)
    return Finding(
        group=GROUP,
        name="Chromium",
        status="missing",
        value="none; harness report --plots draws in it",
        remedy="apt-get install chromium, or BROWSER_PATH",
    )


def _extra(name: str, purpose: str) -> Finding:
    lacking = []
    versions = []
    for wanted in demands(name):
        version = installed(wanted.name)
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            lacking.append(f"{wanted.name}{wanted.specifier}")
        versions.append(f"{wanted.name} {version}")
    if not lacking:
        return Finding(group=GROUP, name=name, status="ok", value=", ".join(versions))
    return Finding(
        group=GROUP,
        name=name,
        status="missing",
        value=f"{purpose}: needs {', '.join(lacking)}",
        remedy=f"pip install 'gegenprobe[{name}]'",
    )
