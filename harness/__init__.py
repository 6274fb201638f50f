"""Gegenprobe: a harness that cross-checks what is claimed of open reasoning models.

The import package is ``harness``, the distribution ``gegenprobe``. From Python::

    import harness

    finished = harness.run("r1_distill_qwen_1_5b", tasks=["math_mini"])
    print(finished.result.estimate("accuracy", "math_mini"))

``import harness`` itself loads nothing; each function loads what it needs when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import check, compare, grade, leaderboard, load, run

__version__ = "0.1.0"
__all__ = ["__version__", "check", "compare", "grade", "leaderboard", "load", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    from harness import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return __all__
