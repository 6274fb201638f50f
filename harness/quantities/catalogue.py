"""The catalogue: every derived quantity that a claim can name.

Closed and computed on demand; ``docs/derive.md`` explains how to add one.
"""

import difflib
from collections.abc import Callable, Mapping
from functools import partial

from harness.errors import UserError
from harness.io.paths import cached_by_places
from harness.quantities.models import model_quantities
from harness.quantities.prices import price_quantities
from harness.quantities.published import fact, facts
from harness.quantities.scores import score_quantities
from harness.quantities.sourced import Quantity
from harness.quantities.training_cost import training_quantities


@cached_by_places
def catalogue() -> Mapping[str, Callable[[], Quantity]]:
    """How each quantity is computed, by name."""
    groups = (
        {name: partial(fact, name) for name in facts()},
        model_quantities(),
        training_quantities(),
        price_quantities(),
        score_quantities(),
    )
    together: dict[str, Callable[[], Quantity]] = {}
    for group in groups:
        assert not together.keys() & group.keys(), f"twice: {together.keys() & group.keys()}"
        together |= group
    return together


@cached_by_places
def quantity(name: str) -> Quantity:
    """One quantity with its arithmetic, sources and grade.

    Raises:
        UserError: The catalogue has no such name.
    """
    known = catalogue()
    if name in known:
        return known[name]()
    near = difflib.get_close_matches(name, known, n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else "docs/derive.md lists them"
    raise UserError(f"quantity={name} is unknown; {meant}")
