"""Extracts the answer from a completion's text: pure functions, one file per step.

``marks`` knows how models mark their thoughts, ``thinking`` takes the reasoning off, ``boxed``
finds a maths answer, ``code`` finds a program.
"""
