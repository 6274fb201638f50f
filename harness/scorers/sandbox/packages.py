"""The one package besides the standard library that programs may import: numpy.

It is the numpy that the harness itself is installed with. Programs see its folder and that of its
own libraries, read-only, and nothing of what is installed beside it. A warden has ``finder``.
"""

import importlib.metadata
import importlib.util
from pathlib import Path

_NUMPY = "numpy"
_LIBRARIES = "numpy.libs"
"""Folder of BLAS in numpy's wheels, beside the package."""


def numpy_version() -> str:
    """The version that programs get, ``none`` where the harness has no numpy."""
    try:
        return importlib.metadata.version(_NUMPY)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def numpy_folders() -> list[str]:
    """The folders that programs have to read, the package itself first; empty without numpy."""
    spec = importlib.util.find_spec(_NUMPY)
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    libraries = package.with_name(_LIBRARIES)
    return [str(package), *([str(libraries)] if libraries.is_dir() else [])]
