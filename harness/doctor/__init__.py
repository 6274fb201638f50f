"""What this machine can do for a benchmark, and what to do about the rest.

Each module looks at one thing and says what it found as ``Finding``s; ``bounded`` runs all of them
at once and waits for none of them for ever; ``diagnosis`` draws the conclusion.
"""
