"""Finds faults in the answers to known problems."""

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from harness.records import Completion, Prompt, Record, Verdict
from harness.scorers.answers.marks import Reasoning, without_marks, written_style
from harness.scorers.answers.thinking import split_thinking

# Markup of chat templates, whichever model's: ChatML and Llama 3, DeepSeek, Gemma, Llama 2.
MARKUP = re.compile(
    r"<\|[A-Za-z_][\w-]{0,40}\|>|<\uff5c[^\uff5c\n]{1,40}\uff5c>|<(?:start|end)_of_turn>|\[/?INST\]|</?s>"
)
_TAIL = 600
"""Characters at the end of an answer that are checked for repetition."""
_REPEATED = 6
"""Text that compresses by more than this factor repeats itself; prose compresses by two."""


class CanaryAnswer(Record):
    """The answer to one known problem; a line of ``canary.jsonl``."""

    prompt: Prompt
    completion: Completion
    verdict: Verdict


class Findings(NamedTuple):
    """The faults that stop a run, and the warnings that are only logged."""

    faults: tuple[str, ...]
    warnings: tuple[str, ...]


class _Finding(NamedTuple):
    is_fault: bool
    text: str


class _Model(NamedTuple):
    """What a model's tokenizer shows about the model."""

    special_tokens: frozenset[str]
    reasoning: Reasoning


def find_faults(
    answers: Sequence[CanaryAnswer],
    special_tokens: Iterable[str] = (),
    reasoning: Reasoning = None,
) -> Findings:
    """Finds faults in the answers.

    Args:
        answers: At least one.
        special_tokens: The tokenizer's, which no answer should hold.
        reasoning: How the model marks its thoughts.
    """
    failed = [each for each in answers if each.completion.finish_reason == "error"]
    if len(failed) == len(answers):
        why = failed[0].completion.error
        return Findings((f"all {len(answers)} requests failed in the engine: {why}",), ())
    lived = [each for each in answers if each not in failed]
    model = _Model(frozenset(special_tokens), reasoning)
    found = [finding for rule in _RULES if (finding := rule(lived, model)) is not None]
    warnings = [finding.text for finding in found if not finding.is_fault]
    if failed:
        why = failed[0].completion.error
        warnings.insert(0, f"{_of(failed, answers)} requests failed in the engine: {why}")
    return Findings(tuple(each.text for each in found if each.is_fault), tuple(warnings))


Answers = Sequence[CanaryAnswer]


def _broken_scorer(answers: Answers, _: _Model) -> _Finding | None:
    broken = [each.verdict for each in answers if each.verdict.status == "scorer_error"]
    if not broken:
        return None
    return _Finding(True, f"{broken[0].scorer} cannot grade an answer: {broken[0].detail}")


def _added_tokens(answers: Answers, _: _Model) -> _Finding | None:
    """Finds a server that adds a BOS token to ids that have one."""
    more = {
        each.completion.prompt_tokens - len(each.prompt.token_ids)
        for each in answers
        if each.prompt.token_ids and each.completion.prompt_tokens is not None
    }
    if more != {1}:
        return None
    text = "the server counts one prompt token more than it was sent: it adds a second BOS"
    return _Finding(True, text)


def _markup(answers: Answers, model: _Model) -> _Finding | None:
    """Finds markup in answers. A weak model may glitch once; a broken stop token spoils most."""
    marked = [(each, mark) for each in answers if (mark := _first_mark(each, model)) is not None]
    if not marked:
        return None
    marks = Counter(mark for _, mark in marked).most_common()
    text = f"{_of(marked, answers)} answers hold {', '.join(mark for mark, _ in marks)}"
    if 2 * len(marked) < len(answers):
        return _Finding(False, f"{text}, which is markup of a chat template")
    return _Finding(
        True,
        f"{text}, markup of a chat template: generation_config.json and the tokenizer do not name "
        "it as a stop token, or the template is another model's",
    )


def _first_mark(answer: CanaryAnswer, model: _Model) -> str | None:
    text = without_marks(answer.completion.text, model.reasoning)
    found = [(match.start(), match[0]) for match in [MARKUP.search(text)] if match]
    found += [(place, token) for token in model.special_tokens if (place := text.find(token)) >= 0]
    return min(found)[1] if found else None


def _open_thought(answers: Answers, model: _Model) -> _Finding | None:
    ended = [
        each
        for each in answers
        if each.prompt.opened_think and each.completion.finish_reason == "stop"
    ]
    # One that was cut off after its thought shows too that the model ends thoughts.
    if not ended or any(_ends_its_thought(each, model) for each in answers):
        return None
    style = written_style(model.reasoning)
    return _Finding(
        True,
        f"the prompt opens {style.open.strip()} and {_of(ended, ended)} answers that ended never "
        f"wrote {style.close}: their answer cannot be told apart from thinking; if the model does "
        "not think, protocol.force_think=false",
    )


def _ends_its_thought(answer: CanaryAnswer, model: _Model) -> bool:
    split = split_thinking(
        answer.completion.text,
        prompt_opened_think=answer.prompt.opened_think,
        reasoning=model.reasoning,
    )
    return split.answer is not None


def _empty(answers: Answers, _: _Model) -> _Finding | None:
    empty = [each for each in answers if not each.completion.text.strip()]
    if not empty:
        return None
    text = f"{_of(empty, answers)} answers are empty"
    if len(empty) < len(answers):
        return _Finding(False, text)
    return _Finding(True, f"{text}: the chat template is another model's, or ends the turn itself")


def _endless(answers: Answers, _: _Model) -> _Finding | None:
    if any(each.completion.finish_reason != "length" for each in answers):
        return None
    known = [each.completion.completion_tokens for each in answers]
    budget = max((count for count in known if count is not None), default=None)
    text = f"no answer ended within {'the budget' if budget is None else f'{budget} tokens'}"
    loops = [each for each in answers if _repeats_itself(each.completion.text)]
    if loops:
        text += f", {_of(loops, answers)} say the same again and again at their end"
    return _Finding(False, f"{text}: a budget that is too small, a weak model or a stop token")


def _repeats_itself(text: str) -> bool:
    tail = text[-_TAIL:].encode("utf-8", "replace")
    return len(text) >= _TAIL and len(zlib.compress(tail, 9)) * _REPEATED < len(tail)


def _unsolved(answers: Answers, _: _Model) -> _Finding | None:
    statuses = Counter(each.verdict.status for each in answers)
    if statuses["correct"] or statuses["scorer_error"]:
        return None
    counts = ", ".join(
        f"{count} {status.replace('_', ' ')}" for status, count in statuses.most_common()
    )
    text = f"none of {len(answers)} problems as easy as 2 + 3 was solved ({counts})"
    return _Finding(False, f"{text}: a weak model, or a prompt that it does not know")


_RULES: tuple[Callable[[Answers, _Model], _Finding | None], ...] = (
    _broken_scorer,
    _added_tokens,
    _markup,
    _open_thought,
    _empty,
    _endless,
    _unsolved,
)


def _of(some: Sequence[object], every: Sequence[object]) -> str:
    """``2 of 3``, ``all 3``."""
    if len(some) < len(every):
        return f"{len(some)} of {len(every)}"
    return f"all {len(every)}" if len(every) > 1 else "the only"
