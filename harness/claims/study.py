"""A study: a folder of claims, published scores, documents and derivations by one group of people.

``conf/study/deepseek_2025`` holds the five articles; any other folder of this shape is judged by
the same rules.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from harness.claims.claim import ClaimId, Date, Line
from harness.errors import ConfigError, UserError
from harness.io.paths import CONF_DIR, DEFAULT_STUDY, conf_dirs
from harness.models.shape import Name
from harness.records import Record

STUDY_FILE = "study.yaml"
GROUP = "study"
"""The folder of ``conf/`` whose folders are studies."""


class Study(Record):
    """The description of a study: ``study.yaml`` in its folder."""

    name: Name
    """The name of the folder."""
    title: Line
    description: Line
    """The subject of the study in a sentence or two."""
    authors: Annotated[tuple[Line, ...], Field(min_length=1)]
    """The authors of the study, who may not be those of the claims."""
    date: Date
    """The date of the study's first version."""
    headline_claims: tuple[ClaimId, ...] = ()
    """The claims that matter most, in the order in which the summary shows them."""


def default_study() -> Path:
    """The folder of the study that comes with the package."""
    return CONF_DIR / GROUP / DEFAULT_STUDY


def named_studies() -> dict[str, Path]:
    """The studies that go by their name: in ``conf/study`` of the harness or of a user's folder.

    Raises:
        ConfigError: Two have one name, or a user's folder holds no configuration.
    """
    found: dict[str, Path] = {}
    for conf in conf_dirs():
        for file in sorted((conf / GROUP).glob(f"*/{STUDY_FILE}")):
            folder = file.parent
            other = found.setdefault(folder.name, folder)
            if other != folder:
                raise ConfigError(
                    f"{GROUP}={folder.name}: two studies have this name, {other} and {folder}; "
                    "rename one, or leave its folder out"
                )
    return found


def find_study(asked: str | None = None) -> Path:
    """The folder of a study.

    Args:
        asked: Its name, or its folder; None: the study that comes with the package.

    Raises:
        UserError: There is no such study, or the folder is none.
        ConfigError: Two studies have one name.
    """
    known = named_studies()
    if asked is None or asked in known:
        return known[asked or DEFAULT_STUDY]
    folder = Path(os.path.abspath(Path(asked).expanduser()))  # noqa: PTH100 - a link keeps its name
    if folder.name == STUDY_FILE:
        folder = folder.parent
    if (folder / STUDY_FILE).is_file():
        return folder
    if folder.is_dir():
        raise UserError(f"--study={asked}: this folder is no study; a study has a {STUDY_FILE}")
    near = difflib.get_close_matches(asked, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    raise UserError(f"--study={asked}: no such study; {meant}; any other is named by its folder")
