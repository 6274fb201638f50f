"""Whether a maths answer is the right one: exactly, never by rounding, never by running its text.

Steps of one comparison (``checker``):

1. Equal strings end it.
2. Both sides become tokens (``latex``, ``spelling``); the same tokens end it (``canonical``).
3. Tokens become shapes (``reading``, ``quantity``, ``units``): a number with its unit, a list, an
   interval, a relation, words … whose leaves are formulas (``expression`` and ``calculus`` read,
   ``tree`` holds them). What can be read in two ways is refused.
4. Shapes are matched by policy (``matching``, ``region``). Formulas are judged by exact fractions
   (``numbers``), also at points (``values``); floats may refute, never confirm.
5. What is still open goes to a worker process (``worker``, kept by ``pool``) that is killed when it
   outlives its limit. The same policy runs there with many digits (``algebra``), on every piece of
   the line where another rule may hold (``kinks``).

What cannot be read earns no credit, and says so; a gold that cannot is reported as such. The policy
and its reasons are in ``docs/grading.md``.
"""
