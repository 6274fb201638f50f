r"""Where a reasoning model's thinking ends and its answer begins.

R1's chat template ends the prompt with ``<think>\n``, so its completions hold a ``</think>`` but
no ``<think>``; a parser that looks for both finds nothing, and one that only cuts at ``</think>``
grades the reasoning of every completion that was cut off. Knowing how the prompt ended decides it.
"""

from typing import NamedTuple

OPEN = "<think>"
CLOSE = "</think>"


class SplitText(NamedTuple):
    """A completion, taken apart."""

    reasoning: str
    """Empty when the model did not think."""
    answer: str | None
    """What follows the last ``</think>``; None when the thinking never ended."""


def split_thinking(text: str, *, prompt_opened_think: bool) -> SplitText:
    """Takes the reasoning off a completion.

    Args:
        text: The whole completion, without the prompt.
        prompt_opened_think: The prompt ended inside ``<think>``.

    Returns:
        The two parts. ``answer`` is None when a thought was opened, by the prompt or by the
        model as the first thing it wrote, and never closed: such a text holds no answer.
    """
    reasoning, close, answer = text.rpartition(CLOSE)
    if close:
        return SplitText(reasoning.removeprefix(OPEN), answer)
    if prompt_opened_think or text.lstrip().startswith(OPEN):
        return SplitText(text.lstrip().removeprefix(OPEN), None)
    return SplitText("", text)
