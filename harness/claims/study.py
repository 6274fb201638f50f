"""A study: a folder of claims, published scores, documents and derivations by one group of people.

``conf/study/deepseek_2025`` holds the five articles; any other folder of this shape is judged by
the same rules.
"""

from typing import Annotated

from pydantic import Field

from harness.claims.claim import Date, Line
from harness.models.shape import Name
from harness.records import Record


class Study(Record):
    """What a study says of itself, ``study.yaml`` in its folder."""

    name: Name
    """As the folder is called."""
    title: Line
    description: Line
    """What it is about, in a sentence or two."""
    authors: Annotated[tuple[Line, ...], Field(min_length=1)]
    """Who wrote the study down, which need not be who made the claims."""
    date: Date
    """Of the study's first version."""
