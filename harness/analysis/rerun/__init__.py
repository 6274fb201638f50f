"""A finished run's requests, asked again: which ones, and what the repetition says.

Nothing that ought to matter differs between the two, so what differs is the noise floor: sums in
another order, by another batch, let a near-tie between two tokens fall the other way.
"""
