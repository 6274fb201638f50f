"""Scorers: from a problem and an answer text to a grade.

A scorer has one file, one name in ``tasks.ScorerName`` and one ``case`` in ``build``.
"""
