"""What follows from a model's configuration, as tables for people."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from harness.io.sourced import Grade
from harness.io.terminal import open_console, safe
from harness.quantities.derivation import Derivation, TrainingFigures
from harness.quantities.machine import Fit
from harness.quantities.published import machines, precisions
from harness.quantities.sourced import Quantity
from harness.quantities.sourced import shown as show

_WIDTH_WITHOUT_TERMINAL = 200
_GIGA = 1e9
_SOURCES = "[bold]Sources[/bold], by grade: P primary, S secondary, M memory, D derived"
_OTHER = {
    "multi_head": "if each head kept its own",
    "multi_head_128": "likewise, keys 128 wide",
    "gqa_8": "if it were 8 groups of heads",
}


def print_derivations(
    this: Derivation, other: Derivation | None, ratios: Mapping[str, float | None] | None
) -> None:
    """Prints everything to stdout.

    Args:
        this: The model that was asked for.
        other: The one it is set against.
        ratios: By figure, the first divided by the second.
    """
    console = open_console(width=_WIDTH_WITHOUT_TERMINAL)
    shown = [this] if other is None else [this, other]
    names = " against ".join(each.title for each in shown)
    console.print(f"\n[bold]{names}[/bold], one sequence of {this.context_tokens:,} tokens\n")
    console.print(_sizes(shown, ratios or {}))
    for each in shown:
        console.print(
            f"\n[bold]{each.title}[/bold]: the fewest devices of one machine that hold weights and "
            "cache, and the tokens/s that their memory allows at most\n"
        )
        console.print(_machines(each))
        console.print(
            f"\n[bold]{each.title}[/bold]: tokens whose cache fits beside the "
            f"{precisions()[each.native_precision].title} weights, all sequences together\n"
        )
        console.print(_cache_room(each))
    trainings = [training for each in shown for training in each.training.values()]
    if trainings:
        console.print("\n[bold]Training[/bold], as disclosed, rent assumed\n")
        console.print(_trainings(trainings))
    for each in shown:
        if each.quantities:
            console.print("\n[bold]What else follows[/bold]\n")
            console.print(_quantities(each.quantities))
    _foot(console, shown)


def print_quantities(found: Mapping[str, Quantity]) -> None:
    """Prints the figures of a study to stdout, with their arithmetic and their sources."""
    console = open_console(width=_WIDTH_WITHOUT_TERMINAL)
    console.print(_quantities(found))
    console.print(f"\n{_SOURCES}")
    for source in dict.fromkeys(source for each in found.values() for source in each.sources):
        console.print(f"  {safe(source)}", soft_wrap=True)


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left")
    return table


def _sizes(shown: list[Derivation], ratios: Mapping[str, float | None]) -> Table:
    """A column for each model and one for their ratio."""
    table = _table("", *(each.title for each in shown), *(["ratio"] if ratios else []))
    rows = [_size_rows(each) for each in shown]
    labels = dict.fromkeys(label for each in rows for label in each)
    for label in labels:
        cells = [each.get(label, ("", ""))[0] for each in rows]
        key = next(each[label][1] for each in rows if label in each)
        ratio = [_ratio(ratios.get(key))] if ratios else []
        table.add_row(label, *cells, *ratio)
    return table


def _size_rows(found: Derivation) -> dict[str, tuple[str, str]]:
    """By label: the value with its unit, and the figure that it is."""
    rows = {
        "parameters": (show(found.total_parameters), "total_parameters"),
        "  of multi-token prediction, besides": (show(found.mtp_parameters), "mtp_parameters"),
        "  active for a token": (show(found.active_parameters), "active_parameters"),
        "  likewise with the input embedding": (
            show(found.active_parameters_with_embedding),
            "active_parameters_with_embedding",
        ),
        **{
            f"weights in {precisions()[name].title}": (_gigabytes(size), f"weight_bytes_{name}")
            for name, size in found.weight_bytes.items()
        },
        "work for a token, weights": (
            _gigaflop(found.weight_flops_per_token),
            "weight_flops_per_token",
        ),
    }
    # As served comes first.
    attention = _flops(found.attention_flops_per_token)
    rows["  attention"] = (_gigaflop(attention[0]), "attention_flops_per_token")
    if attention[1:]:
        rows["  likewise unfolded, not as served"] = (
            _gigaflop(attention[1]),
            "attention_flops_per_token_expanded",
        )
    rows["  together"] = (_gigaflop(_flops(found.flops_per_token)[0]), "flops_per_token")
    rows["cache for a token, bf16"] = (
        f"{show(found.kv_bytes_per_token)} bytes",
        "kv_bytes_per_token",
    )
    for name, size in found.kv_bytes_per_token_with_other_attention.items():
        rows[f"  {_OTHER[name]}"] = (f"{show(size)} bytes", "")
    rows["cache of the sequence"] = (_gigabytes(found.kv_bytes), "kv_bytes")
    return rows


def _flops(by_variant: Mapping[str, int] | None) -> list[int | None]:
    return list(by_variant.values()) if by_variant else [None]


def _machines(found: Derivation) -> Table:
    """A row for each machine, a column for each precision."""
    widths = precisions()
    table = _table("", *(_marked(width.title, width.grade) for width in widths.values()))
    for name, machine in machines().items():
        cells = [
            _fit(found.fits[name][width], found.tokens_per_s_ceiling[name][width])
            for width in widths
        ]
        table.add_row(_marked(machine.title, machine.grade), *cells)
    return table


def _cache_room(found: Derivation) -> Table:
    """A row for each machine that holds the model."""
    table = _table("", "devices", "tensor parallel", "data-parallel attention")
    for name, machine in machines().items():
        fit = found.fits[name][found.native_precision]
        if fit is not None and fit.devices is not None:
            table.add_row(
                _marked(machine.title, machine.grade),
                show(fit.devices),
                show(fit.kv_tokens_tensor_parallel),
                show(fit.kv_tokens_data_parallel_attention),
            )
    return table


def _fit(fit: Fit | None, ceiling: float | None) -> str:
    if fit is None:
        return "unknown"
    if fit.devices is None:
        return "narrowly too large" if fit.tight else "too large"
    tight = " (tight)" if fit.tight else ""
    return f"{fit.devices}{tight}, {show(ceiling)} tokens/s"


def _trainings(trainings: list[TrainingFigures]) -> Table:
    """A column for each training."""
    table = _table("", *(_marked(each.title, each.grade) for each in trainings))
    rents = trainings[0].usd_by_rent
    rows = {
        "GPU-hours": [show(each.gpu_hours) for each in trainings],
        "  they cover": [each.hours_cover for each in trainings],
        "GPUs": [show(each.gpus) for each in trainings],
        "days, if none was idle": [show(each.days) for each in trainings],
        "cost at the rent that it assumes": [_usd(each.usd) for each in trainings],
        **{
            f"  at {rent} USD a GPU-hour": [_usd(each.usd_by_rent[rent]) for each in trainings]
            for rent in rents
        },
        "operations of the pre-training": [show(each.flops) for each in trainings],
        "  for a GPU and second": [_teraflop(each.flops_per_s_per_gpu) for each in trainings],
        **{
            f"  of its dense {precisions()[name].title} peak": [
                _percent(each.utilisation.get(name)) for each in trainings
            ]
            for name in trainings[0].utilisation
        },
    }
    for label, cells in rows.items():
        table.add_row(label, *cells)
    return table


def _quantities(found: Mapping[str, Quantity]) -> Table:
    table = Table(show_edge=False, box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column("quantity")
    table.add_column("arithmetic")
    for name, quantity in found.items():
        table.add_row(_marked(name, quantity.grade), safe(quantity.arithmetic))
    return table


def _foot(console: Console, shown: list[Derivation]) -> None:
    console.print(f"\n{_SOURCES}")
    for source in dict.fromkeys(source for each in shown for source in each.sources):
        console.print(f"  {source}", soft_wrap=True)
    for note in dict.fromkeys(note for each in shown for note in each.notes):
        console.print(f"\nnote: {note}", soft_wrap=True)


def _marked(text: str, grade: Grade) -> str:
    """A label that says when what it names rests on memory."""
    return f"{text} (unverified)" if grade == "M" else text


def _gigabytes(size: float | None) -> str:
    return "unknown" if size is None else f"{size / _GIGA:,.2f} GB"


def _gigaflop(flops: float | None) -> str:
    return "unknown" if flops is None else f"{flops / _GIGA:,.2f} GFLOP"


def _teraflop(flops: float | None) -> str:
    return "unknown" if flops is None else f"{flops / (1000 * _GIGA):,.0f} TFLOP/s"


def _usd(usd: float | None) -> str:
    return "unknown" if usd is None else f"{usd:,.0f} USD"


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"


def _ratio(ratio: float | None) -> str:
    """Above 1 as it is, below as a fraction of 1."""
    if ratio is None:
        return ""
    return f"{ratio:,.2f}" if ratio >= 1 else f"1/{1 / ratio:,.2f}"
