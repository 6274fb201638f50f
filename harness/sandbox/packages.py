"""The one package besides the standard library that programs may import: numpy.

It is the numpy that the harness itself is installed with. Programs see its folder and that of its
own libraries, read-only, and nothing of what is installed beside it.
"""

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

NUMPY = "numpy"
_LIBRARIES = "numpy.libs"
"""Where its wheels have BLAS, beside the package."""


def numpy_version() -> str:
    """The version that programs get, ``none`` where the harness has no numpy."""
    try:
        return importlib.metadata.version(NUMPY)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def numpy_folders() -> list[str]:
    """The folders that programs have to read, the package itself first; empty without numpy."""
    spec = importlib.util.find_spec(NUMPY)
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    libraries = package.with_name(_LIBRARIES)
    return [str(package), *([str(libraries)] if libraries.is_dir() else [])]


class NumpyFinder:
    """Finds numpy where ``sys.path`` does not lead, and nothing else."""

    def __init__(self, folder: str) -> None:
        """Takes the package's folder."""
        self._folder = folder

    def find_spec(
        self, name: str, _path: object = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """As the import system asks for it."""
        if name != NUMPY:
            return None
        return importlib.util.spec_from_file_location(
            name, f"{self._folder}/__init__.py", submodule_search_locations=[self._folder]
        )

    def install(self) -> None:
        """Asks this finder after all others, so that it costs nothing where numpy is not used."""
        sys.meta_path.append(self)
