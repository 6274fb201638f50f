"""A model's sizes: as its YAML gives them, or as a folder's own files do."""

from pathlib import Path
from typing import NamedTuple

from harness.models import LocalModel, ModelConfig, ModelShape
from harness.models.folder import FolderError, facts_of


class Sizes(NamedTuple):
    """What memory is computed from; None where it is not known."""

    parameters: int | None
    shape: ModelShape | None


def sizes_of(model: ModelConfig) -> Sizes:
    """The sizes that the model's YAML gives; those of a folder are read from it where it does not.

    A folder whose files cannot be read has unknown sizes here; loading it says what is wrong.
    """
    known = Sizes(model.parameters, model.shape)
    if not isinstance(model, LocalModel) or None not in known:
        return known
    try:
        found = facts_of(Path(model.path).expanduser())
    except FolderError:
        return known
    if found.parameters is None:
        return known  # several packed values count as one there
    return Sizes(known.parameters or found.parameters, known.shape or found.shape)
