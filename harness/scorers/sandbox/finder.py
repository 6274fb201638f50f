"""How a program finds numpy, which ``sys.path`` does not lead to.

Imports next to nothing: whatever a warden has loaded makes each of its forks dearer.
"""

import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType


class NumpyFinder:
    """Finds numpy in its folder, and nothing else."""

    def __init__(self, folder: str) -> None:
        """Takes the package's folder."""
        self._folder = folder

    def find_spec(
        self, name: str, _path: object = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Part of the import system's interface."""
        if name != "numpy":
            return None
        file = f"{self._folder}/__init__.py"
        spec = ModuleSpec(name, SourceFileLoader(name, file), origin=file)
        spec.submodule_search_locations = [self._folder]
        spec.has_location = True
        return spec

    def install(self) -> None:
        """Adds this finder after all others, so that it costs nothing where numpy is not used."""
        sys.meta_path.append(self)
