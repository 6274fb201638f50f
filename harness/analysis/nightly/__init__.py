"""Nights: the same suite again and again, and whether tonight is worse than before.

``record`` is what is kept of a night, ``history`` the file of all of them, ``jobs`` what a night
runs, ``child`` runs it, ``judge`` compares, ``change_points`` looks back, ``retention`` clears up.
"""
