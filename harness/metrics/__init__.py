"""Metrics: `evaluate` modules, a folder each, and the door that turns samples into Estimates.

``estimate_all`` and ``budget_curve`` are what a run uses. Each of the folders (``accuracy``,
``pass_at_k``, ``cons_at_k``, ``outcome_shares``, ``throughput``, ``latency``, ``token_counts``,
``cost_per_solved``) can also be had with ``evaluate.load`` by its path, without a network, where
this package is installed. Every one returns figures: ``{name: {"value", "unit", "n", "low",
"high", "method"}}``. `evaluate` itself is imported when a metric is computed.
"""

from harness.metrics.budget import budget_curve
from harness.metrics.compute import estimate_all
from harness.metrics.machine_use import machine_use

__all__ = ["budget_curve", "estimate_all", "machine_use"]
