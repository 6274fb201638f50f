"""Checks what this machine can run, and suggests fixes for what it cannot.

Each module looks at one thing and says what it found as ``Finding``s; ``bounded`` runs all of them
at once and waits for none of them for ever; ``diagnosis`` draws the conclusion.
"""
