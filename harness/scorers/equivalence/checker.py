"""One comparison of a gold answer and a model's answer, from string equality to algebra."""

import functools
from dataclasses import dataclass
from importlib.metadata import version
from types import TracebackType
from typing import Literal, Self

from harness.scorers.equivalence.canonical import spell
from harness.scorers.equivalence.judge import Arithmetic
from harness.scorers.equivalence.latex import MAX_CHARACTERS, Unreadable, tokenize
from harness.scorers.equivalence.matching import same
from harness.scorers.equivalence.numbers import TooLarge, Undefined
from harness.scorers.equivalence.parse_answer import read_tokens
from harness.scorers.equivalence.pool import Expired, Pool
from harness.scorers.equivalence.shape import Shape

Route = Literal["string", "typed", "algebra", "none"]
Status = Literal["ok", "no_answer", "unparsed", "timeout", "gold_unparsed"]
LIBRARIES = ("mpmath",)


@dataclass(frozen=True)
class Comparison:
    """The result of comparing one pair."""

    is_equal: bool
    route: Route
    """The step that decided: equal strings, typed comparison with exact numbers, algebra, or
    none."""
    status: Status = "ok"
    """``unparsed``: the answer could not be read, so it is not credited. ``gold_unparsed``: the
    gold could not, so nothing is known."""
    detail: str = ""


def library_versions() -> dict[str, str]:
    """Versions of everything that a verdict can depend on; imports nothing."""
    return {name: version(name) for name in LIBRARIES}


class Equivalence:
    """Compares answers. Enter it to start its workers, leave it to end them.

    Args:
        workers: Processes for algebra. ``compare`` may be called from any number of threads.
        pair_limit_s: Seconds of algebra for one pair, after which its worker is killed.
    """

    def __init__(self, workers: int = 1, pair_limit_s: float = 8.0) -> None:
        self._pool = Pool(workers, pair_limit_s)

    def __enter__(self) -> Self:
        self._pool.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.stop()

    def compare(self, gold: str, answer: str) -> Comparison:
        """Whether ``answer`` is ``gold``. Neither its content nor its size makes it raise or hang.

        Raises:
            UnavailableError: The workers cannot be started.
        """
        if _same_text(gold, answer):
            return Comparison(True, "string")
        gold_side, answer_side = _reading(gold), _reading(answer)
        if gold_side.text and gold_side.text == answer_side.text:
            return Comparison(True, "string")
        sides: tuple[tuple[_Reading, Status], ...] = (
            (gold_side, "gold_unparsed"),
            (answer_side, "unparsed"),
        )
        for side, status in sides:
            if isinstance(side.shape, str):
                return Comparison(False, "none", status, side.shape)
        assert not isinstance(gold_side.shape, str)
        assert not isinstance(answer_side.shape, str)
        return _by_type(gold_side.shape, answer_side.shape) or self._by_worker(gold, answer)

    def _by_worker(self, gold: str, answer: str) -> Comparison:
        try:
            verdict = self._pool.ask(gold, answer)
        except Expired as error:
            return Comparison(False, "algebra", "timeout", str(error))
        if "unreadable" in verdict:
            return Comparison(False, "algebra", "unparsed", str(verdict["unreadable"]))
        return Comparison(bool(verdict["is_equal"]), "algebra")


def _by_type(gold: Shape, answer: Shape) -> Comparison | None:
    """The comparison without algebra; None when it does not decide."""
    try:
        verdict = same(gold, answer, Arithmetic())
    except TooLarge as error:
        return Comparison(False, "none", "unparsed", str(error))
    except RecursionError:
        return Comparison(False, "none", "unparsed", "nested too deeply")
    except Undefined as error:
        return Comparison(False, "typed", "ok", str(error))
    return None if verdict is None else Comparison(verdict, "typed")


def _same_text(gold: str, answer: str) -> bool:
    """Whether texts are equal apart from white space: the only comparison for very long answers."""
    is_long = len(answer) > 2 * max(MAX_CHARACTERS, len(gold))
    return not is_long and bool(gold.strip()) and gold.split() == answer.split()


@dataclass(frozen=True)
class _Reading:
    text: str
    """Canonical string, empty when there is none."""
    shape: Shape | str
    """The shape, or why there is none."""


@functools.lru_cache(maxsize=4096)
def _reading(latex: str) -> _Reading:
    text = ""
    try:
        tokens = tokenize(latex)
        text = spell(tokens)
        return _Reading(text, read_tokens(tokens))
    except Unreadable as error:
        return _Reading(text, str(error))
    except RecursionError:
        return _Reading(text, "nested too deeply")
