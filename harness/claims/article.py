"""One article, paper or model card, by what its own text shows of it."""

from typing import Annotated

from pydantic import Field

from harness.claims.claim import ArticleId, Date, Line
from harness.records import Record


class Article(Record):
    """An article, as ``article/<id>.yaml`` of a study has it."""

    id: ArticleId
    headline: Line
    """The article's headline; its first words where it has none (see ``has_headline``)."""
    has_headline: bool = True
    author: Line | None = None
    publisher: Line | None = None
    date: Date | None = None
    """The date; None, like author and publisher, where the text does not show it."""
    note: Line | None = None
    file: Annotated[str, Field(pattern=r"^\S+$")] | None = None
    """The file whose lines the claims' line numbers count."""

    @property
    def title(self) -> str:
        """``A3 "DeepSeek: Chinas Sputnik-Moment", Marcel Kunzmann (Telepolis)``."""
        name = f"“{self.headline}”" if self.has_headline else self.headline
        by = f", {self.author}" if self.author else ""
        at = ", ".join(each for each in (self.publisher, self.date) if each)
        return f"{self.id} {name}{by}" + (f" ({at})" if at else "")
