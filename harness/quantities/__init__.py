"""Arithmetic on published configurations, prices and figures.

``machine``, ``training`` and ``published`` hold what was published, each with source and grade;
architectures are in ``harness.models.shape``, and what they weigh in ``harness.models.memory``.
``work`` and the functions beside the records compute from it.
``figures`` names what follows for one model, ``quantities`` what a claim can refer to. No result
is typed in anywhere.
"""

from harness.quantities.catalogue import catalogue, quantity
from harness.quantities.figures import figures
from harness.quantities.sourced import Quantity

__all__ = ["Quantity", "catalogue", "figures", "quantity"]
