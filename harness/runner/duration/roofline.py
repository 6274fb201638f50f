"""How long a batch of answers takes: a roofline for each step, and the steps one after another.

A step of decoding reads the weights and the cache of every running sequence, multiplies, and costs
some time besides that no roof explains. Requests wait for a place in the batch and for room in the
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
"""Of the time, that is lost to computing anew what lost its place, where the cache was ever full:
an assumption."""


class Roof(NamedTuple):
    """What the devices of one copy of the model achieve together."""

    bytes_per_s: float
    """From memory, as achieved."""
    flops_per_s: float | None
    """As achieved; None where it is not known, and then memory alone decides."""
    step_s: float
    """Of every step, whatever its size: launches, scheduling, sampling."""
    sequence_s: float
    """Of every step, for each sequence in it."""


class Load(NamedTuple):
    """What one step of a model asks of its devices."""

    weight_bytes: float
    """Of all weights."""
    token_bytes: float
    """Of the weights that one token uses; fewer than all where there are experts."""
    flops_per_token: float
    """Of the products with weights."""
    cache_bytes_per_token: float
    """Keys and values; 0 where they are not known."""
    tokens_per_step: float = 1.0
    """That a step yields of one sequence: more with speculative decoding."""
    computed_per_step: float = 1.0
    """That a step multiplies for one sequence: drafted tokens, accepted or not, and one more."""
    drafting: float = 0.0
    """What drafting costs, as a fraction of reading the weights once."""


class Batch(NamedTuple):
    """How many may run at once."""

    sequences: int
    cache_tokens: float
    """For which there is room; ``inf`` where it does not matter."""


class Course(NamedTuple):
    """How a batch of requests went."""

    seconds: float
    tokens: int


def step_seconds(load: Load, roof: Roof, sequences: int, context_tokens: float) -> float:
    """One step of decoding.

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
    """So many answer lengths: evenly spaced quantiles of a log-normal, cut off at the budget.

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
    """Serves all answers, first come first served, and adds up the steps.

    A request is let in while there is room for what runs now, as vLLM does; when the cache is
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
    """A request in the batch; the one that ends first is the least."""

    end: float
    """The step at which it ends."""
    began: float
    context: float
    """Tokens in its cache when it began."""


class _Queue:
    """Requests that wait and requests that run, on a clock of steps and one of seconds."""

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
        """Lets in what fits; after the cache was full, only once a request has ended."""
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
        room = self._batch.cache_tokens - self._context
        is_full = count > 1 and growth * steps > room
        if is_full:
            steps = max(0.0, room / growth)
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
        """Those that came last wait again, and go on where they were."""
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
