"""The only module that knows where things lie: in a checkout, in a wheel, in the user's cache."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_CHECKOUT = _PACKAGE.parent
_IS_CHECKOUT = (_CHECKOUT / "conf" / "config.yaml").is_file()
# A wheel carries conf/ and tasks/ under harness/_data (see pyproject.toml).
_SHIPPED = _CHECKOUT if _IS_CHECKOUT else _PACKAGE / "_data"

CONF_DIR = _SHIPPED / "conf"
TASKS_DIR = _SHIPPED / "tasks"
METRICS_DIR = _PACKAGE / "metrics"
DEFAULT_STUDY = "deepseek_2025"
"""Of ``conf/study``: what ``harness claims`` judges where no other is named."""


def default_results_dir() -> Path:
    """``results/`` of the checkout; of the working directory when installed from a wheel."""
    return (_CHECKOUT if _IS_CHECKOUT else Path.cwd()) / "results"


def checkout_dir() -> Path | None:
    """The git checkout that this package runs from, None when it runs from a wheel."""
    return _CHECKOUT if _IS_CHECKOUT else None


def cache_dir() -> Path:
    """Where converted models are kept: ``HARNESS_CACHE_DIR``, else the XDG cache folder."""
    if explicit := os.environ.get("HARNESS_CACHE_DIR"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "gegenprobe"
