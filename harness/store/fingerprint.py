"""The protocol fingerprint: what must agree for two scores of a task to be comparable.

The subject (model, revision, quantisation, engine, hardware) is what may differ, and is not in it.
"""

import hashlib
import json
from typing import Any, NamedTuple

from harness.config.settings import ProtocolConfig
from harness.scorers.answers.marks import Reasoning, as_protocol_field
from harness.tasks import BEFORE_ANSWER, Task, examples_sha256, own_definition_sha256

_ALWAYS = {"temperature", "top_p", "top_k", "max_new_tokens"}
SHARD = "shard"
REASONING = "reasoning"
OMITTED = "omitted"
DATE = "date"


class Rendering(NamedTuple):
    """How a model's prompts are rendered and its answers are read."""

    template_sha256: str | None
    reasoning: Reasoning
    """How it marks its thoughts."""
    omitted: tuple[str, ...] = ()
    """Fields of a request that are left to the server."""
    date: str | None = None
    """Today's date as the template received it; None where the template does not use it."""


def protocol_fields(
    task: Task,
    protocol: ProtocolConfig,
    rendering: Rendering,
    scorer: str,
    scorer_context: dict[str, str],
    shard: str | None = None,
) -> dict[str, Any]:
    """Everything that a score depends on besides the model, by name.

    ``shard`` is there only where it is one, ``reasoning`` only where thoughts are not marked by
    ``<think>``, ``omitted`` only where something is, ``date`` only where the template writes one,
    options of the protocol only where they are set, ``definition_sha256`` only of a task that is
    not the harness's own. All other runs keep the fields that they had
    before there was a choice.
    """
    reasoning = as_protocol_field(rendering.reasoning)
    definition = own_definition_sha256(task.spec)
    return {
        "task": task.spec.name,
        "task_version": task.spec.version,
        "problems_sha256": task.full_sha256,
        "subset": task.selection,
        "subset_sha256": task.subset_sha256,
        "prompt_sha256": hashlib.sha256(task.spec.prompt.encode()).hexdigest(),
        "template_sha256": rendering.template_sha256 if protocol.chat else None,
        "force_think": protocol.force_think,
        **protocol.sampling.model_dump(include=_ALWAYS),
        "max_prompt_tokens": protocol.max_prompt_tokens,
        "samples_per_problem": protocol.samples_per_problem,
        "scorer": scorer,
        **{f"scorer.{key}": value for key, value in sorted(scorer_context.items())},
        **protocol.options,
        **_of_examples(task, protocol),
        **({} if reasoning is None else {REASONING: reasoning}),
        **({OMITTED: list(rendering.omitted)} if rendering.omitted else {}),
        **({} if rendering.date is None else {DATE: rendering.date}),
        **({} if definition is None else {"definition_sha256": definition}),
        **({} if shard is None else {SHARD: shard}),
    }


def _of_examples(task: Task, protocol: ProtocolConfig) -> dict[str, str]:
    """Which examples, and how question and answer are joined where that is not as usual."""
    if not task.examples:
        return {}
    is_usual = protocol.has_turns or task.before_answer == BEFORE_ANSWER
    joint = {} if is_usual else {"fewshot_before_answer": task.before_answer}
    return {"fewshot_sha256": examples_sha256(task.examples), **joint}


def of_the_whole(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of the run that a shard is a part of."""
    return {key: value for key, value in fields.items() if key != SHARD}


def fingerprint(fields: dict[str, Any]) -> str:
    """Sixteen hex digits over the fields."""
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
