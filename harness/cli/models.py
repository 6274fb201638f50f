"""``harness models``: the models of ``conf/model``."""

import argparse

from rich.table import Table

from harness.errors import ConfigError
from harness.io.paths import place_of
from harness.io.terminal import open_console
from harness.models import origin
from harness.models.listed import ListedModel, model_names, read_model
from harness.models.memory import unquantised_bytes

FROM = "from"
"""Heads the column that is there where a folder of the user's brings something."""
_WIDTH = 200
"""Of a pipe: a line for each model, to be searched."""


def models(_: argparse.Namespace) -> int:
    """Lists the models of ``conf/model``.

    Raises:
        ConfigError: Files describe no model; the others have been listed.
    """
    listed, mistakes = [], []
    for name in model_names():
        try:
            listed.append(read_model(name))
        except ConfigError as error:
            mistakes.append(str(error))
    table = Table("model", "parameters", "bf16", "context", "origin", "licence", show_edge=False)
    places = {each.name: place_of(each.file) for each in listed}
    if any(places.values()):
        table.add_column(FROM, overflow="fold")
    for each in listed:
        place = [str(places[each.name] or "")] if any(places.values()) else []
        table.add_row(each.name, *_cells(each), *place)
    open_console(width=_WIDTH).print(table)
    if mistakes:
        raise ConfigError("; ".join(mistakes))
    return 0


def _cells(listed: ListedModel) -> tuple[str, str, str, str, str]:
    model = listed.model
    if model is None:
        key = listed.needed[0]
        return "", "", "", f"model.{key}={key.upper()}", ""
    size = model.parameters
    return (
        "unknown" if size is None else f"{size / 1e9:.3f} B",
        "unknown" if size is None else f"{unquantised_bytes(size) / 1e9:.1f} GB",
        "unknown" if model.context_tokens is None else f"{model.context_tokens:,}",
        origin(model),
        model.licence or "unknown",
    )
