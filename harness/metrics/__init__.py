"""Metrics: `evaluate` modules, one per file, and the door that turns samples into Estimates.

``estimate_all`` is what a run uses. Each of ``accuracy.py``, ``pass_at_k.py``, ``cons_at_k.py``,
``outcome_shares.py``, ``throughput.py``, ``latency.py``, ``token_counts.py`` and
``cost_per_solved.py`` can also be had with ``evaluate.load`` by the path of the file, without a
network, where this package is installed. Every one returns figures: ``{name: {"value", "unit",
"n", "low", "high", "method"}}``. `evaluate` itself is imported when a metric is computed.
"""

from harness.metrics.compute import estimate_all
from harness.metrics.samples import Sample

__all__ = ["Sample", "estimate_all"]
