"""Whether a maths answer is the right one: exactly, never by rounding, never by running its text.

Steps of one comparison (``checker``): both sides become tokens (``latex``); equal tokens end it.
Tokens become a shape (``shape``: number with unit, list, interval, word …) whose leaves are
formulas (``expression``). Shapes are matched by policy (``matching``) with exact fractions
(``numbers``); what is then still open goes to a worker process (``worker``, kept by ``pool``) that
can be killed, where the same policy runs again with sympy (``algebra``).
"""
