"""Labels beside a number: units, things that are counted, and words that change the meaning.

Only words on a list are harmless. Any other word counts: the other side has to have it as well.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from harness.scorers.equivalence.latex import Token, Unreadable
from harness.scorers.equivalence.nouns import ADJECTIVES, NOUNS
from harness.scorers.equivalence.spelling import ORDINALS, words


class Label(NamedTuple):
    """The label beside a number."""

    unit: str = ""
    """Known units in one spelling (``inch^2``, ``mile/hour``), empty where none is known."""
    words: frozenset[str] = frozenset()
    """Words that name what is counted (``red``, ``marble``), singular."""
    telling: tuple[str, ...] = ()
    """All other words, in their order: they change the number, or nothing is known about them."""


NO_LABEL = Label()

_NAMES = {
    "millimeter": "mm millimetre", "centimeter": "cm centimetre cms", "decimeter": "dm decimetre",
    "meter": "m metre", "kilometer": "km kilometre kms", "inch": "in inches",
    "foot": "ft feet", "yard": "yd", "mile": "mi",
    "milligram": "mg", "gram": "g gm", "kilogram": "kg kgs kilo", "ounce": "oz", "pound": "lb lbs",
    "ton": "tonne", "second": "s sec", "minute": "min", "hour": "h hr hrs", "day": "", "week": "",
    "month": "", "year": "yr yrs", "milliliter": "ml mL millilitre", "liter": "l L litre",
    "gallon": "gal", "quart": "qt", "pint": "pt", "cup": "",
    "degree": "deg °", "radian": "rad", "dollar": "usd \\$", "cent": "¢", "euro": "eur €",
    "british pound": "gbp £", "yen": "¥", "penny": "pennies pence", "nickel": "", "dime": "",
    "joule": "J", "newton": "N", "watt": "W", "volt": "V", "hertz": "Hz",
    "kelvin": "", "celsius": "centigrade °C", "fahrenheit": "°F", "acre": "", "hectare": "",
    "bit": "", "byte": "", "knot": "", "watt hour": "Wh", "kilowatt hour": "kWh", "decibel": "dB",
    "kilowatt": "kW", "kilojoule": "kJ",
    "calorie": "cal", "kilocalorie": "kcal", "mole": "mol", "pascal": "Pa", "ampere": "amp",
    "ohm": "", "rupee": "₹ rs", "yuan": "rmb", "peso": "",
    "decade": "", "century": "centuries", "nautical mile": "", "micrometer": "μm micrometre",
    "fortnight": "", "furlong": "", "revolution": "rev", "gigabyte": "GB", "megabyte": "MB",
}  # fmt: skip
_UNITS = {
    spelling: unit
    for unit, spellings in _NAMES.items()
    for name in (unit, *spellings.split())
    for spelling in ((name, name + "s") if len(name) > 2 else (name,))  # noqa: PLR2004
}
_COMPOUND = {"mph": "mile/hour", "kph": "kilometer/hour", "kmh": "kilometer/hour",
             "rpm": "revolution/minute", "fps": "foot/second", "sqft": "foot^2",
             "sqm": "meter^2", "sqcm": "centimeter^2"}  # fmt: skip
_POWERS = {"square": 2, "squared": 2, "sq": 2, "cubic": 3, "cubed": 3, "cu": 3}
_SIGNS = frozenset({"°", "\\$", "€", "£", "¥", "¢", "₹"})
_MARKS = frozenset({"{", "}", "(", ")", "[", "]", ".", "'", "-", "\\cdot"})
_SILENT = words(
    "a an the of in is are was were there it has have we get total number answer result value "
    "so hence thus exactly just only all altogether overall each every apiece "
    "long wide tall high deep away apart old different distinct possible "
    "unit units about approximately approx around roughly circa"
)
_SIDES = words(
    "east west north south northeast northwest southeast southwest up down upward upwards downward "
    "downwards right forward forwards backward backwards clockwise counterclockwise anticlockwise "
    "profit loss gain increase decrease above below more less fewer taller "
    "shorter older younger longer heavier lighter faster slower larger smaller greater before "
    "after earlier later ahead behind ago owed"
)
"""Words that distinguish a number from its opposite: an answer may omit them, not add or change
them."""
_SCALES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "dozen": 12, "k": 10**3, "mn": 10**6, "bn": 10**9, "lakh": 10**5, "lac": 10**5,
    "crore": 10**7, "百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8,
}  # fmt: skip

NUMBER_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip


_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6,
          "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "twelfth": 12}  # fmt: skip
_LADDERS = (
    ("year", "month", "week", "day", "hour", "minute", "second"), ("degree", "minute", "second"),
    ("mile", "yard", "foot", "inch"), ("kilometer", "meter", "centimeter", "millimeter"),
    ("ton", "pound", "ounce"), ("ton", "kilogram", "gram"), ("gallon", "quart", "pint", "cup"),
    ("dollar", "cent"),
)  # fmt: skip
"""Units that are combined in one quantity: 1 hour 30 minutes."""


def number_in_words(words: Sequence[str]) -> Fraction | None:
    """The value of ``twelve``, ``twenty - five`` or ``three - fourths``; None for other words."""
    known = [word.casefold() for word in words if word != "-"]
    parts = _PARTS.get(known[-1].removesuffix("s"), 0) if known else 0
    values = [NUMBER_WORDS.get(word, -1) for word in (known[:-1] if parts else known)]
    if not values or -1 in values:
        return None
    *tens, last = values
    # "twenty-fifth" is no fraction, and "two half" is neither.
    if parts and (tens or last > 12 or (last == 1) == known[-1].endswith("s")):  # noqa: PLR2004
        return None
    if tens and (len(tens) > 1 or tens[0] < 20 or tens[0] % 10 or not 0 < last < 10):  # noqa: PLR2004
        return None
    return Fraction(sum(values), parts or 1)


def is_descending(units: Sequence[str]) -> bool:
    """Whether several units of one quantity are in descending order."""
    return any(
        set(units) <= set(ladder)
        and [*map(ladder.index, units)] == sorted({*map(ladder.index, units)})
        for ladder in _LADDERS
    )


def unit_of(spelling: str) -> str:
    """The unit of a spelling, empty when it is none."""
    is_symbol = len(spelling) == 1
    return _UNITS.get(spelling) or ("" if is_symbol else _UNITS.get(spelling.casefold(), ""))


def _noun(word: str) -> str:
    """The singular of a word for what is counted; empty when it is none."""
    singulars = (word, word[:-1], word[:-2], word[:-3] + "y")
    endings = ("", "s", "es", "ies")
    for singular, ending in zip(singulars, endings, strict=True):
        if word.endswith(ending) and singular in NOUNS | ADJECTIVES:
            return singular
    return ""


def scale_of(text: str) -> int | None:
    """The factor of ``million`` and similar words."""
    word = text.casefold()
    return _SCALES.get(word) or (_SCALES.get(word[:-1]) if len(word) > 3 else None)  # noqa: PLR2004


def is_plain_label(token: Token) -> bool:
    r"""A unit, scale or noun that cannot be a variable, even without ``\text``."""
    if token.kind != "run":
        return False
    word = token.text.casefold()
    if unit_of(token.text) or word in _COMPOUND or word in _POWERS:
        return True
    return len(word) > 2 and bool(_noun(word) or scale_of(word) or word in _SILENT)  # noqa: PLR2004


def read_label(tokens: Sequence[Token]) -> Label:
    """The label in the tokens beside a number.

    Raises:
        Unreadable: They are more than words and units.
    """
    reader = _LabelReader()
    for token, after in zip(tokens, [*tokens[1:], Token("symbol", "")], strict=False):
        if (token.text, after.text) not in {("in", "total"), ("in", "all")}:  # not inches
            reader.add(token)
    return reader.label()


class _LabelReader:
    def __init__(self) -> None:
        self.above: dict[str, int] = {}
        self.below: dict[str, int] = {}
        self.words: set[str] = set()
        self.telling: list[str] = []
        self.heard: list[str] = []
        self.is_below = False
        self.power = 1
        self.awaits_exponent = False
        self.last: tuple[dict[str, int], str] | None = None
        self.is_of = False
        """Whether the measured substance follows: cups of flour."""

    def add(self, token: Token) -> None:
        if token.text == "^":
            self.awaits_exponent = True
        elif self.awaits_exponent and token.text not in {"{", "-"}:
            self.exponent(token)
        elif token.text in {"/", "per"} or (token.text == "-" and self.awaits_exponent):
            self.is_below = True
        elif token.text in {"squared", "cubed"} and self.last:
            self.exponent(token)
        elif token.text in _POWERS:
            self.power = _POWERS[token.text]
        elif token.kind in {"word", "run", "letter"} or token.text in _SIGNS:
            self.word(token.text)
        elif token.text not in _MARKS:
            raise Unreadable(f"{token.text!r} beside a number")

    def exponent(self, token: Token) -> None:
        power = _POWERS.get(token.text) or (int(token.text) if token.text in "1234" else 0)
        if self.last is None or not power:
            raise Unreadable("an exponent that belongs to no unit")
        side, unit = self.last
        if side[unit] != 1:
            raise Unreadable("a unit raised twice")
        side[unit] = power
        if self.is_below and side is self.above:
            self.below[unit] = side.pop(unit)
        self.awaits_exponent = False

    def word(self, text: str) -> None:
        word = text.casefold() if len(text) > 1 else text
        self.heard.append(word)
        unit = unit_of(text) or ("unit" if word in {"unit", "units"} else "")
        if unit:
            side = self.below if self.is_below else self.above
            side[unit] = self.power
            self.last, self.power = (side, unit), 1
        elif word in _COMPOUND:
            top, _, bottom = _COMPOUND[word].partition("/")
            self.above[top] = 1
            if bottom:
                self.below[bottom] = 1
        elif word in _SILENT | ORDINALS:
            self.is_of = self.is_of or (word == "of" and bool(self.last or self.words))
        elif _noun(word) or self.is_of or (word == "pairs" and "ordered" in self.words):
            self.words.add(_noun(word) or word)
        else:
            self.telling.append(word)

    def label(self) -> Label:
        if self.power > 1 or self.awaits_exponent:
            raise Unreadable("a power without its unit")
        for unit in {"celsius", "fahrenheit"} & set(self.above):
            self.above = {unit: 1}
        if self.heard == ["a"]:
            self.telling = ["a"]  # 5a, not 5 a day
        sides = [
            "*".join(
                f"{unit}^{power}" if power > 1 else unit
                for unit, power in sorted(side.items())
                if unit != "unit"
            )
            for side in (self.above, self.below)
        ]
        return Label("/".join(filter(None, sides)), frozenset(self.words), tuple(self.telling))


_ANY_DEGREE = frozenset({"degree", "celsius", "fahrenheit"})


def agree(gold: Label, answer: Label) -> bool:
    """Whether two labels can mean the same: one may be missing, they may not conflict."""
    is_left_out = not answer.telling and set(gold.telling) <= _SIDES and answer.words <= gold.words
    if gold.telling != answer.telling and not is_left_out:
        return False
    if not (gold.unit or gold.words) or not (answer.unit or answer.words):
        return True
    is_degree = {gold.unit, answer.unit} <= _ANY_DEGREE and "degree" in {gold.unit, answer.unit}
    if gold.unit != answer.unit and not is_degree:
        return False
    return gold.words <= answer.words or answer.words <= gold.words
