"""Keys and values of a batch whose rows come and go.

Shapes: B rows, H key-value heads, G query heads for each of them, T cached tokens, D head size.
Rows are padded on the left, so that all of them end in the same column.

``KeyValues`` replaces a cache layer of transformers (``transformers.cache_utils``). The library's
layer copies the whole cache for every token; this one has spare capacity. It holds every token;
sliding windows are handled by the attention mask.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

ATTENTION = "harness_grouped"

# Columns to grow by: a quarter of the present ones, at least this many.
MIN_GROWTH = 64


class KeyValues:
    """The cache of one layer."""

    is_sliding = False
    is_compileable = False
    is_croppable = True

    def __init__(self, **_: Any) -> None:
        self.length = 0
        """Columns in use."""
        self._keys: Any = None
        self._values: Any = None

    @property
    def is_initialized(self) -> bool:
        """Whether there is a buffer."""
        return self._keys is not None

    def update(self, keys: Any, values: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Appends (B, H, new, D) and returns all, (B, H, T, D)."""
        end = self.length + keys.shape[-2]
        if self._keys is None or end > self._keys.shape[-2]:
            capacity = end + max(MIN_GROWTH, end // 4)
            self._keys = self._moved(self._keys, keys, capacity)
            self._values = self._moved(self._values, values, capacity)
        self._keys[:, :, self.length : end] = keys
        self._values[:, :, self.length : end] = values
        self.length = end
        return self._keys[:, :, :end], self._values[:, :, :end]

    def _moved(self, old: Any, like: Any, capacity: int) -> Any:
        rows, heads, _, size = like.shape
        new = like.new_empty(rows, heads, capacity, size)
        if old is not None:
            new[:, :, : self.length] = old[:, :, : self.length]
        return new

    def gather(self, parts: "Sequence[tuple[KeyValues, Sequence[int]]]", width: int) -> None:
        """Becomes rows of some caches, its own perhaps, padded or trimmed on the left to width.

        Args:
            parts: Caches with the places of the rows that are wanted; one may be wanted twice.
            width: Columns; a row must not need more.
        """
        like_keys, like_values = parts[0][0]._keys, parts[0][0]._values
        capacity = width + max(MIN_GROWTH, width // 4)
        count = sum(len(rows) for _, rows in parts)
        keys = like_keys.new_empty(count, like_keys.shape[1], capacity, like_keys.shape[3])
        values = like_values.new_empty(count, like_values.shape[1], capacity, like_values.shape[3])
        start = 0
        for layer, rows in parts:
            used = min(layer.length, width)
            place = slice(start, start + len(rows))
            for new, old in ((keys, layer._keys), (values, layer._values)):
                # Masked columns must be finite: 0 times NaN is NaN.
                new[place, :, : width - used] = 0
                wanted = old[:, :, layer.length - used : layer.length]
                is_all = list(rows) == list(range(len(old)))
                new[place, :, width - used : width] = wanted if is_all else wanted[list(rows)]
            start += len(rows)
        self._keys, self._values, self.length = keys, values, width

    def lazy_initialization(self, *_: Any) -> None:
        """Does nothing before the first ``update``; part of transformers' interface."""

    def get_seq_length(self) -> int:
        """Columns in use; part of transformers' interface."""
        return self.length

    def get_max_length(self) -> int:
        """-1 for no limit; part of transformers' interface."""
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that the mask covers, and the first of them; part of transformers' interface."""
        return self.length + query_length, 0


def new_cache() -> Any:
    """An empty cache for all layers of a model."""
    from transformers.cache_utils import Cache

    return Cache(layer_class_to_replicate=_layer_class())


def gather(into: Any, parts: Sequence[tuple[Any, Sequence[int]]], width: int) -> Any:
    """Gathers rows of several caches into one, layer by layer, so that little is held twice.

    Args:
        into: Is changed into that, and may be one of the others.
        parts: As in ``KeyValues.gather``, for whole caches.
        width: As there.
    """
    if not into.layers:
        into.layers.extend(_layer_class()() for _ in parts[0][0].layers)
    for place, layer in enumerate(into.layers):
        layer.gather([(cache.layers[place], rows) for cache, rows in parts], width)
    return into


@cache
def _layer_class() -> type:
    # transformers tells attention layers from recurrent ones by their base class, and importing
    # that takes seconds.
    from transformers.cache_utils import CacheLayerMixin

    return type("KeyValuesLayer", (KeyValues, CacheLayerMixin), {})


def register_attention() -> None:
    """Makes ``ATTENTION`` known to transformers."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _grouped_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def _grouped_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Any, None]:
    """Scaled dot-product attention that reads a key-value head once for all its query heads.

    transformers repeats keys and values G times when there is a mask. While decoding, the G query
    heads of a key-value head can instead be passed as queries of different tokens.
    """
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    batch, heads, queries, size = query.shape
    kv_heads = key.shape[1]
    if queries > 1 or heads == kv_heads or rest.get("position_bias") is not None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
        return output, None
    folded = query.view(batch, kv_heads, heads // kv_heads, size)
    output = scaled_dot_product_attention(
        folded, key, value, attn_mask=attention_mask, scale=scaling
    )
    return output.reshape(batch, 1, heads, value.shape[-1]), None
