"""Metrics: plain functions from samples to Estimates, and an `evaluate` module for each.

``compute.estimate_all``, ``budget.budget_curve`` and ``machine_use.machine_use`` are what a run
uses. Each of the folders (``accuracy``,
``pass_at_k``, ``cons_at_k``, ``outcome_shares``, ``throughput``, ``latency``, ``token_counts``,
``cost_per_solved``) is a module that ``evaluate.load`` loads by its path, without a network, where
this package is installed. It turns columns into samples, calls the same function as a run, and
returns figures: ``{name: {"value", "unit", "n", "low", "high", "method", "bound"}}``. `evaluate` is
not imported in a run.
"""
