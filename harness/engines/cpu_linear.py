"""Linear layers on a CPU: their weights are packed once, as oneDNN multiplies them.

A decoding step multiplies a few rows with every weight of the model. torch hands the weights over
row by row, and the library rearranges them for each product. Packed once, a step of 8 to 64 rows
takes 1.2 to 1.3 times less CPU time in float32 (``docs/performance.md``).
"""

from functools import partial
from typing import Any

ROWS = 32
"""The number of rows that oneDNN chooses the layout for. It serves other numbers nearly as well."""


def pack(model: Any) -> bool:
    """Packs the weights of a model's plain linear layers, each in place of its unpacked ones.

    Weights that the input embedding shares stay as they are, because it reads them row by row.

    Returns:
        Whether any layer is packed. oneDNN refuses the types that the CPU does not multiply.
    """
    import torch

    shared = {id(each.weight) for each in _embeddings(model)}
    packed = 0
    for layer in model.modules():
        if type(layer) is not torch.nn.Linear:
            continue
        if id(layer.weight) in shared:
            _turn_round(layer)
        elif _pack(layer):
            packed += 1
    return packed > 0


def _embeddings(model: Any) -> list[Any]:
    import torch

    return [each for each in model.modules() if isinstance(each, torch.nn.Embedding)]


def _pack(layer: Any) -> bool:
    import torch

    if not torch.backends.mkldnn.is_available():
        return False
    try:
        with torch.no_grad():
            weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), ROWS)
    except RuntimeError:  # "… needs the cpu support …"
        return False
    layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    layer.forward = partial(_packed_product, layer)
    return True


def _packed_product(layer: Any, x: Any) -> Any:
    """``x @ W.T + bias``: (…, in) to (…, out).

    Raises:
        RuntimeError: The types differ. oneDNN's own words for it are those for too little memory.
    """
    import torch

    if x.dtype != layer.weight.dtype:
        raise RuntimeError(f"a layer's input is {x.dtype} and its weights are {layer.weight.dtype}")
    return torch.ops.mkldnn._linear_pointwise(x, layer.weight, layer.bias, "none", [], "")


def _turn_round(layer: Any) -> None:
    """Computes a large product of few rows as ``(W @ x.T).T``.

    MKL multiplies a few rows with a matrix of 50,000 columns at half of its speed, at least on
    AMD; it multiplies the matrix with a few columns at its full speed, with the same result.
    """
    import torch

    if layer.bias is None and layer.weight.dtype == torch.float32:
        layer.forward = partial(_turned_product, layer)


def _turned_product(layer: Any, x: Any) -> Any:
    """``x @ W.T`` as ``(W @ x.T).T``: (…, in) to (…, out)."""
    rows = x.reshape(-1, x.shape[-1])
    return (layer.weight @ rows.t()).t().reshape(*x.shape[:-1], -1)
