"""A model's sizes: from its YAML or architecture, else from its folder's files."""

from pathlib import Path
from typing import NamedTuple

from harness.errors import ConfigError, UnavailableError
from harness.models import ModelConfig, ModelShape, RemoteModel, is_here, resolve
from harness.models.folder import FolderError, facts_of
from harness.runner.preflight.missing import no_network


class Sizes(NamedTuple):
    """The sizes that memory is computed from; None: unknown."""

    parameters: int | None
    shape: ModelShape | None


def sizes_of(model: ModelConfig) -> Sizes:
    """The sizes in the model's YAML; else those of its folder, if it is on this disk.

    A folder whose files cannot be read has unknown sizes here; loading it reports what is wrong.

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
