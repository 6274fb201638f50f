"""Words beside a number that do not change its meaning: things that are counted."""

from importlib.resources import files

from harness.scorers.equivalence.spelling import words

NOUNS = words(files(__package__).joinpath("nouns.txt").read_text(encoding="utf-8"))
"""Singular, and plurals that are no singular with an s. No word that may be an operation (root,
log, cube, half, double, pair) is among them in the singular: "root 5" is not 5."""
ADJECTIVES = words(
    "acute additional altogether apart apiece available away big black blue brown complete complex "
    "composite congruent dark deep different distinct distinguishable dry each equilateral every "
    "extra favorable female final fresh full gold golden gray green grey heavy high hot identical "
    "individual integer irrational isosceles large lattice left light long male medium new "
    "nonnegative nonzero obtuse old orange ordered ordinary overall pink plain plastic positive "
    "possible prime proper purple rational real red regular remaining required ripe separate short "
    "silver similar small such sweet tall tiny total unique unordered used valid white whole wide "
    "wooden yellow young"
)
