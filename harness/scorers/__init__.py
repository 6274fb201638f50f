"""Scorers: from a problem and an answer text to a grade.

A scorer has one file with a ``ScorerDefinition``; ``build`` finds it by its name.
"""
