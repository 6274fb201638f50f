"""Whether a maths answer is the right one: exactly, never by rounding, never by running its text.

Steps of one comparison (``checker``):

1. Equal strings end it.
2. Both sides become tokens (``latex``, ``spelling``); the same tokens end it (``canonical``).
3. Tokens become shapes (``reading``, ``quantity``, ``units``): a number with its unit, a list, an
   interval, a relation, words … whose leaves are formulas (``expression`` reads, ``tree`` holds
   them). What can be read in two ways is refused.
4. Shapes are matched by policy (``matching``, ``region``). Formulas are judged by exact fractions
   (``numbers``); floats may refute, never confirm.
5. What is still open goes to a worker process (``worker``, kept by ``pool``) that is killed when it
   outlives its limit. The same policy runs there with sympy (``algebra``), and where too few points
   tell two formulas apart, with math-verify's ``verify``.
6. Where step 3 refused a side and both are one formula with a sum, a product sign, an integral, a
   limit, gcd, lcm, max, min or an unknown function in it (``calculus`` reads them), a worker has
   math-verify's parser read both, rewritten in one plain spelling, and ``verify`` compare them.
   Credit takes its yes and that of a comparison term by term (``second``).

What no step can read earns no credit, and says so; a gold that none can read is reported as such.

The policy. Values are exact: a decimal equals a fraction only if it is that fraction. Units,
currency and degree signs may be left out or added; another known unit is wrong. ``X %`` is X or
X/100 of a percentage. Lists and sets have no order, tuples do, and brackets tell open from closed.
``x = 5`` is 5. A product equals its expansion. Digits and base must agree; the base may be left
out. Words are compared without case, choices by their letter. "7 or 8" is two answers, not 7.
"""
