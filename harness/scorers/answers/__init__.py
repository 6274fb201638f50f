"""From a completion's text to the answer in it: pure functions, one file for each step.

``marks`` knows how models mark their thoughts, ``thinking`` takes the reasoning off, ``boxed``
finds a maths answer, ``code`` finds a program.
"""
