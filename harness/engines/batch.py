"""A batch whose rows come and go: the decoding loop over a transformers model.

``model.generate`` keeps a batch together until its last row ends and hands nothing out before.
Here a row that ends leaves at once, and another takes its place.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.engines.kv_cache import gather, new_cache
from harness.engines.sampling import draw, penalised
from harness.io.token_gaps import GapCounter
from harness.models.chat_tokenizer import Times
from harness.records import GenerationRequest


@dataclass(slots=True, eq=False)
class Row:
    """One request while it is being served."""

    request: GenerationRequest
    queued_s: float
    started_s: float | None = None
    first_token_s: float | None = None
    cached_prompt_tokens: int | None = None
    """Prompt tokens that were already computed for another row: all of them or none."""
    token_ids: list[int] = field(default_factory=list)
    """The tokens generated so far."""
    gaps: GapCounter = field(default_factory=GapCounter)
    error: str | None = None
    """Why the row cannot continue; None while it can."""
    numbers: random.Random = field(init=False)

    def __post_init__(self) -> None:
        # Python guarantees this sequence of 53-bit numbers on every machine, for every version.
        self.numbers = random.Random(self.request.seed)  # noqa: S311 - nothing secret

    @property
    def known_ids(self) -> tuple[int, ...]:
        """Prompt and generated tokens: all that the next token depends on."""
        return (*self.request.prompt_token_ids, *self.token_ids)

    @property
    def cached_tokens(self) -> int:
        """How many of the known tokens are in the cache: all but the newest."""
        return len(self.request.prompt_token_ids) + len(self.token_ids) - 1

    def uniform(self) -> float:
        """The uniform random number that decides the next token; greedy rows use none."""
        return self.numbers.random() if self.request.sampling.temperature > 0 else 0.0

    def token_came(self, now_s: float) -> None:
        """Notes the time at which the newest token arrived."""
        self.first_token_s = self.first_token_s or now_s
        self.gaps.token_came(now_s)

    def ended(self, stop_token_ids: frozenset[int]) -> bool:
        """Whether the newest token is the last one, or the row cannot continue."""
        if self.error is not None:
            return True
        budget = self.request.sampling.max_new_tokens
        return len(self.token_ids) >= budget or self.token_ids[-1] in stop_token_ids

    def times(self, finished_s: float) -> Times:
        """The times of the row's events."""
        return Times(self.queued_s, self.started_s, self.first_token_s, finished_s)


class Reading(NamedTuple):
    """The result of reading prompts."""

    places: dict[tuple[int, ...], int]
    """The row of each prompt, by token ids."""
    cache: Any
    logits: Any
    """Logits after the last token, shape (rows, vocabulary)."""


class Batch:
    """Rows with a common cache. Every row has one more token after ``admit`` and after ``step``.

    When memory runs out in one of them, only ``clear`` is left; the rows can be admitted again
    and go on where they were.
    """

    def __init__(self, model: Any, pad_token_id: int) -> None:
        self.rows: list[Row] = []
        self._model = model
        self._pad = pad_token_id
        self._cache = new_cache()
        self._latest: Reading | None = None
        """The prompt of the latest new row; the next row often has the same one."""

    def admit(self, newcomers: Sequence[Row]) -> None:
        """Adds rows and draws a token for each. A prompt that several rows have is read once."""
        import torch

        known = {row: row.known_ids for row in newcomers}
        prompts = list(dict.fromkeys(known.values()))
        readings = [] if self._latest is None else [self._latest]
        with torch.inference_mode():
            unread = [ids for ids in prompts if not any(ids in each.places for each in readings)]
            if unread:
                readings.append(self._read(unread))
            # Not before: when memory runs out while they are read, nothing was.
            _note_who_reads(newcomers, known, unread)
            rows, logits = [], []
            parts: list[tuple[Any, Sequence[int]]] = [(self._cache, range(len(self.rows)))]
            for reading in readings:
                mine = [row for row in newcomers if known[row] in reading.places]
                places = [reading.places[known[row]] for row in mine]
                rows += mine
                logits.append(reading.logits[places])
                parts.append((reading.cache, places))
            if len(unread) == len(newcomers) and not self.rows:
                self._cache = readings[-1].cache
            else:
                width = max(*map(len, prompts), self._width)
                self._cache = gather(self._cache, [part for part in parts if part[1]], width)
            self.rows.extend(rows)
            self._remember(known[rows[-1]], logits[-1][-1:])
            _append(rows, torch.cat(logits))

    def _remember(self, ids: tuple[int, ...], logits: Any) -> None:
        """Keeps the cache and logits of the last prompt."""
        cache = gather(new_cache(), [(self._cache, [len(self.rows) - 1])], len(ids))
        self._latest = Reading({ids: 0}, cache, logits)

    def _read(self, prompts: Sequence[tuple[int, ...]]) -> Reading:
        """Reads prompts, left-padded to the longest."""
        width = max(map(len, prompts))
        pads = [width - len(ids) for ids in prompts]
        ids = [[self._pad] * pad + list(ids) for pad, ids in zip(pads, prompts, strict=True)]
        positions = [[max(0, column - pad) for column in range(width)] for pad in pads]
        cache = new_cache()
        logits = self._forward(cache, ids, positions, pads)
        return Reading({ids: place for place, ids in enumerate(prompts)}, cache, logits)

    def step(self) -> None:
        """Draws the next token of every row."""
        import torch

        ids = [[row.token_ids[-1]] for row in self.rows]
        positions = [[row.cached_tokens] for row in self.rows]
        pads = [self._width - row.cached_tokens for row in self.rows]
        with torch.inference_mode():
            _append(self.rows, self._forward(self._cache, ids, positions, pads))

    def drop(self, ended: Sequence[Row]) -> None:
        """Removes rows and their part of the cache."""
        import torch

        kept = [place for place, row in enumerate(self.rows) if row not in ended]
        if not kept:
            self.rows, self._cache = [], new_cache()
            return
        rows = [self.rows[place] for place in kept]
        with torch.inference_mode():
            width = max(row.cached_tokens for row in rows)
            self._cache = gather(self._cache, [(self._cache, kept)], width)
        # Only now: when memory runs out above, clear still hands out the rows that ended.
        self.rows = rows

    def clear(self) -> list[Row]:
        """Removes all rows and frees the cache."""
        rows, self.rows = self.rows, []
        self._cache, self._latest = new_cache(), None
        return rows

    @property
    def _width(self) -> int:
        return int(self._cache.get_seq_length())

    def _forward(
        self, cache: Any, ids: list[list[int]], positions: list[list[int]], pads: list[int]
    ) -> Any:
        """Float32 logits (rows, vocabulary) after the last token of ids (rows, tokens)."""
        import torch

        device = self._model.device
        columns = torch.arange(cache.get_seq_length() + len(ids[0]), device=device)
        mask = columns >= torch.tensor(pads, device=device)[:, None]
        output = self._model(
            input_ids=torch.tensor(ids, device=device),
            attention_mask=mask.long(),
            position_ids=torch.tensor(positions, device=device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()


def _note_who_reads(
    newcomers: Sequence[Row],
    known: Mapping[Row, tuple[int, ...]],
    unread: Sequence[tuple[int, ...]],
) -> None:
    """Counts a prompt as computed for its first row, and as cached for other rows with it."""
    left = set(unread)
    for row in newcomers:
        if row.cached_prompt_tokens is None:  # one that comes back has been read before
            is_reader = known[row] in left
            row.cached_prompt_tokens = 0 if is_reader else len(row.request.prompt_token_ids)
        left.discard(known[row])


def _append(rows: Sequence[Row], logits: Any) -> None:
    """Draws a token for each row; one whose logits decide nothing ends with an error."""
    import torch

    # The largest of a row is NaN if any is: argmax would take the first of those for a token.
    is_finite = torch.isfinite(logits.amax(-1))
    samplings = [row.request.sampling for row in rows]
    usable = logits if is_finite.all() else torch.where(is_finite[:, None], logits, 0.0)
    # A copy of thousands of ids for each row and token: only where they are needed.
    known_ids = [
        row.known_ids if sampling.repetition_penalty is not None else ()
        for row, sampling in zip(rows, samplings, strict=True)
    ]
    usable = penalised(usable, samplings, known_ids)
    tokens = draw(usable, samplings, [row.uniform() for row in rows])
    for row, token, fine in zip(rows, tokens, is_finite.tolist(), strict=True):
        if fine:
            row.token_ids.append(token)
        else:
            row.error = f"the model's logits are NaN or infinite at token {len(row.token_ids) + 1}"
