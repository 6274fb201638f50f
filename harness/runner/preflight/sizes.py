"""A model's sizes: as its YAML or its architecture gives them, or as a folder's own files do."""

from pathlib import Path
from typing import NamedTuple

from harness.errors import ConfigError, UnavailableError
from harness.models import ModelConfig, ModelShape, RemoteModel, is_here, resolve
from harness.models.folder import FolderError, facts_of
from harness.runner.preflight.missing import no_network


class Sizes(NamedTuple):
    """What memory is computed from; None where it is not known."""

    parameters: int | None
    shape: ModelShape | None


def sizes_of(model: ModelConfig) -> Sizes:
    """The sizes that the model's YAML gives; else those of its folder, if it is on this disk.

    A folder whose files cannot be read has unknown sizes here; loading it says what is wrong.
    """
    known = Sizes(model.parameters, model.shape)
    if None not in known or isinstance(model, RemoteModel):
        return known
    try:
        with no_network():
            if not is_here(model):
                return known
            found = facts_of(Path(resolve(model, with_digest=False).path))
    except (FolderError, ConfigError, UnavailableError):
        return known
    if found.parameters is None:
        return known  # several packed values count as one there
    return Sizes(known.parameters or found.parameters, known.shape or found.shape)
