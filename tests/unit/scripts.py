"""Scripts without an ending, as modules."""

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from tests.facts import known


def load_script(file: Path) -> ModuleType:
    """Runs its definitions, and leaves nothing beside it."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    loader = SourceFileLoader(file.name.replace("-", "_"), str(file))
    module = module_from_spec(known(spec_from_loader(loader.name, loader)))
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module
