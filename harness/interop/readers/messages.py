"""Messages and settings as Inspect writes them, and evalscope, which has taken its records over."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.interop.readers.parts import Part

CUT_OFF = frozenset({"max_tokens", "model_length"})
"""Reasons to stop that are a limit on tokens."""
_OURS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_new_tokens",
    "stop_seqs": "stop",
}


class Sampling(Part):
    """Sampling settings; None: left to the server."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop_seqs: list[str] | None = None


class Content(Part):
    """A part of a message."""

    type: str
    text: str | None = None
    reasoning: str | None = None


class Message(Part):
    """A message of the user, the assistant, or the system."""

    role: str
    content: str | list[Content]


def protocol_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by the names of ``conf/protocol``; the seed is none of them."""
    return {_OURS[name]: value for name, value in given.items() if name in _OURS}


def text_of(message: Message, whole: Callable[[str], str] = str) -> str:
    """The text of a message, its reasoning in ``<think>``.

    Args:
        message: Of a conversation.
        whole: Finds a text that is kept elsewhere.
    """
    if isinstance(message.content, str):
        return whole(message.content)
    parts = []
    for each in message.content:
        if each.type == "reasoning" and each.reasoning:
            parts.append(f"<think>\n{whole(each.reasoning)}\n</think>\n\n")
        elif each.text is not None:
            parts.append(whole(each.text))
    return "".join(parts)


def said_last(messages: Iterable[Message], whole: Callable[[str], str] = str) -> list[str]:
    """The last user message (earlier ones are examples); empty without any."""
    return [text_of(each, whole) for each in messages if each.role == "user"][-1:]
