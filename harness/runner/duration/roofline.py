"""How long a batch of answers takes: a roofline model of each step, summed over all steps.

A decoding step reads the weights and the cache of every running sequence, multiplies, and has an
overhead that no roofline explains. Requests wait for a place in the batch and for memory in the
cache; as they end the batch drains, and the longest answer decides the end.

A step of decoding reads the weights and the cache of every running sequence, multiplies, and costs
some time besides that no roof explains. Requests wait for a place in the batch and for free in the
cache; as they end the batch drains, and the longest answer decides the end.
"""

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Of the cache, that is made free when it is full: less would only make more steps of the same.
_ROOM_FRACTION = 0.02
PREEMPTION_FRACTION = 0.1
"""Share of the time that is lost to recomputing preempted requests if the cache was ever full: an
assumption."""


class Roof(NamedTuple):
    """The throughput of all devices of one copy of the model."""

    bytes_per_s: float
    """Achieved memory bandwidth."""
    flops_per_s: float | None
    """Achieved arithmetic throughput; None where unknown, and then memory alone decides."""
    step_s: float
    """Seconds of each step, whatever its size: launches, scheduling, sampling."""
    sequence_s: float
    """Seconds of each step per sequence in it."""


class Load(NamedTuple):
    """The work of one decoding step of a model."""

    weight_bytes: float
    """Bytes of all weights."""
    token_bytes: float
    """Bytes of the weights that one token uses; fewer than all in a mixture of experts."""
    flops_per_token: float
    """Operations of the matrix products with weights."""
    cache_bytes_per_token: float
    """Bytes of keys and values; 0 where unknown."""
    tokens_per_step: float = 1.0
    """Tokens that a step yields per sequence: more than 1 with speculative decoding."""
    computed_per_step: float = 1.0
    """Tokens that a step computes per sequence: drafted tokens, accepted or not, and one more."""
    drafting: float = 0.0
    """The cost of drafting, as a fraction of reading the weights once."""


class Batch(NamedTuple):
    """The limits of a batch."""

    sequences: int
    cache_tokens: float
    """Tokens that fit into the cache; ``inf`` where that is no limit."""


class Course(NamedTuple):
    """The result of simulating a batch."""

    seconds: float
    tokens: int


def step_seconds(load: Load, roof: Roof, sequences: int, context_tokens: float) -> float:
    """Seconds of one decoding step.

    Args:
        load: The model.
        roof: The devices.
        sequences: In the batch.
        context_tokens: In the cache, of all of them together.
    """
    weights = min(load.weight_bytes, sequences * load.token_bytes)
    read = weights * (1 + load.drafting) + context_tokens * load.cache_bytes_per_token
    memory_s = read / roof.bytes_per_s
    compute_s = 0.0
    if roof.flops_per_s is not None:
        computed = sequences * load.computed_per_step
        compute_s = computed * load.flops_per_token / roof.flops_per_s
    return max(memory_s, compute_s) + roof.step_s + sequences * roof.sequence_s


def lengths(mean: float, log_sd: float, most: int, count: int) -> NDArray[np.int64]:
    """Typical answer lengths: quantiles of a log-normal, cut off at the budget.

    Args:
        mean: Tokens, before the cut.
        log_sd: Standard deviation of the logarithm.
        most: Tokens that an answer may have.
        count: Answers.

    Returns:
        Tokens, in an order that is shuffled and always the same, of shape (count,).
    """
    from scipy.special import ndtri

    quantiles = ndtri((np.arange(count) + 0.5) / max(count, 1))
    values = mean * np.exp(log_sd * quantiles - log_sd**2 / 2)
    found = np.clip(np.rint(values), 1, most).astype(np.int64)
    return np.random.default_rng(0).permutation(found)


def course(
    answers: Sequence[int] | NDArray[np.int64],
    prompt_tokens: float,
    load: Load,
    roof: Roof,
    batch: Batch,
) -> Course:
    """Simulates serving all answers, first come first served, and adds up the steps.

    A request is admitted while the cache has space for all running ones, as in vLLM; when the cache
    is full, the latest are preempted.

    A request is let in while there is free for what runs now, as vLLM does; when the cache is
    full, those that came last lose their place for a while.

    Args:
        answers: Tokens of each.
        prompt_tokens: Of each.
        load: The model.
        roof: The devices.
        batch: Places.
    """
    queue = _Queue(answers, prompt_tokens, load, roof, batch)
    while queue.waiting or queue.running:
        queue.admit()
        queue.advance()
    seconds = queue.clock_s * (1 + PREEMPTION_FRACTION * queue.was_full)
    if roof.flops_per_s is not None:  # reading the prompts
        seconds += len(answers) * prompt_tokens * load.flops_per_token / roof.flops_per_s
    return Course(seconds, int(np.sum(answers)))


class _Running(NamedTuple):
    """A request in the batch; requests order by their end."""

    end: float
    """The step at which it ends."""
    began: float
    context: float
    """Tokens in its cache when it began."""


class _Queue:
    """Waiting and running requests, on a clock of steps and one of seconds."""

    def __init__(
        self,
        answers: Sequence[int] | NDArray[np.int64],
        prompt_tokens: float,
        load: Load,
        roof: Roof,
        batch: Batch,
    ) -> None:
        self._load, self._roof, self._batch = load, roof, batch
        # Steps that are left and tokens to be read first; the next one is the last of the list.
        self.waiting = [(float(n) / load.tokens_per_step, prompt_tokens) for n in reversed(answers)]
        self.running: list[_Running] = []
        self.clock_s = self._step = self._context = 0.0
        self._is_full = False
        self.was_full = False

    def admit(self) -> None:
        """Admits what fits; after the cache was full, only once a request has ended."""
        while self.waiting and not self._is_full and len(self.running) < self._batch.sequences:
            steps, tokens = self.waiting[-1]
            if self.running and self._context + tokens > self._batch.cache_tokens:
                return
            self.waiting.pop()
            heapq.heappush(self.running, _Running(self._step + steps, self._step, tokens))
            self._context += tokens

    def advance(self) -> None:
        """Steps until a request ends, or until the cache is full."""
        count = len(self.running)
        growth = count * self._load.tokens_per_step
        steps = self.running[0].end - self._step
        free = self._batch.cache_tokens - self._context
        is_full = count > 1 and growth * steps > free
        if is_full:
            steps = max(0.0, free / growth)
        middle = self._context + growth * steps / 2
        self.clock_s += steps * step_seconds(self._load, self._roof, count, middle)
        self._step += steps
        self._context += growth * steps
        if is_full:
            self._preempt()
        else:
            self._context -= self._tokens_of(heapq.heappop(self.running))
            self._is_full = False

    def _preempt(self) -> None:
        """Puts the latest requests back into the queue; they continue later where they were."""
        self.running.sort(key=lambda each: each.began)
        most = self._batch.cache_tokens * (1 - _ROOM_FRACTION)
        while len(self.running) > 1 and self._context > most:
            newest = self.running.pop()
            tokens = self._tokens_of(newest)
            self._context -= tokens
            self.waiting.append((newest.end - self._step, tokens))
        heapq.heapify(self.running)
        self._is_full = self.was_full = True

    def _tokens_of(self, each: _Running) -> float:
        return each.context + (self._step - each.began) * self._load.tokens_per_step
