"""The transcript of a sample for Inspect: the call of the model, and its score or its error.

Texts are in ``attachments``, as theirs are, so that an answer is not written once more. An event
needs its time: where a run has no wall clock for its answers there are none, and the viewer shows
the messages.
"""

from typing import Any, NamedTuple

_ATTACHED = "attachment://"


class Transcript(NamedTuple):
    """Two parts of a sample."""

    events: list[dict[str, Any]]
    attachments: dict[str, str]
    """Texts by the name that events use for them."""


def transcript(sample: dict[str, Any]) -> Transcript:
    """The events that follow from the rest of a sample, an empty list without its times."""
    if "started_at" not in sample or "completed_at" not in sample:
        return Transcript([], {})
    attachments: dict[str, str] = {}
    begun = {"timestamp": sample["started_at"], "working_start": 0.0}
    ended = {"timestamp": sample["completed_at"], "working_start": sample["total_time"]}
    output = sample["output"]
    count = len(sample["messages"]) - len(output["choices"])
    asked = [_attached(message, attachments) for message in sample["messages"][:count]]
    choices = [
        {**choice, "message": _attached(choice["message"], attachments)}
        for choice in output["choices"]
    ]
    call = {
        "event": "model",
        "uuid": f"{sample['uuid']}-model",
        "model": output["model"],
        "input": asked,
        "tools": [],
        "tool_choice": "none",
        "config": {},
        "output": {
            **output,
            "choices": choices,
            "completion": choices[0]["message"]["content"] if choices else "",
        },
        "completed": sample["completed_at"],
        "working_time": sample["total_time"],
    }
    scores = [
        {
            "event": "score",
            "uuid": f"{sample['uuid']}-score",
            "score": score,
            "target": sample["target"],
            "scorer": name,
        }
        for name, score in sample["scores"].items()
    ]
    error = {"event": "error", "uuid": f"{sample['uuid']}-error", "error": sample.get("error")}
    after = [*scores, *([error] if "error" in sample else [])]
    return Transcript([call | begun, *(each | ended for each in after)], attachments)


def _attached(message: dict[str, Any], attachments: dict[str, str]) -> dict[str, Any]:
    attachments[message["id"]] = message["content"]
    return {**message, "content": f"{_ATTACHED}{message['id']}"}
