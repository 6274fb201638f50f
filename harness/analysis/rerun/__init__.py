"""Repeats requests of a finished run: selects them, and compares texts and verdicts.

Nothing that ought to matter differs between the two, so what differs is the noise floor: sums in
another order, by another batch, let a near-tie between two tokens fall the other way.
"""
