"""What may stand beside a number: known units, and words that do not change what it says."""

from collections.abc import Sequence
from typing import NamedTuple

from harness.equivalence.latex import Token, Unreadable
from harness.equivalence.spelling import ORDINALS, words


class Label(NamedTuple):
    """What an answer says beside its number."""

    unit: str = ""
    """Known units in one spelling (``inch^2``, ``mile/hour``), empty where none is known."""
    words: frozenset[str] = frozenset()
    """The other words, singular."""


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
    "quarter": "", "joule": "J", "newton": "N", "watt": "W", "volt": "V", "hertz": "Hz",
    "kelvin": "K", "celsius": "", "fahrenheit": "", "acre": "", "hectare": "",
    "bit": "", "byte": "", "knot": "",
}  # fmt: skip
_UNITS = {
    spelling: unit
    for unit, spellings in _NAMES.items()
    for name in (unit, *spellings.split())
    for spelling in ((name, name + "s") if len(name) > 3 else (name,))  # noqa: PLR2004
}
_COMPOUND = {"mph": "mile/hour", "kph": "kilometer/hour", "kmh": "kilometer/hour",
             "rpm": "revolution/minute", "fps": "foot/second", "sqft": "foot^2"}  # fmt: skip
_POWERS = {"square": 2, "squared": 2, "sq": 2, "cubic": 3, "cubed": 3, "cu": 3}
_SILENT = words("a an the of in total each long wide tall high away apart old")
# Words beside a number that make it another number, a range, a choice or no answer at all.
_TELLING = words(
    "or and not no non un of mod modulo plus minus times over divided by to from than more less "
    "fewer least most about approximately approx around nearly almost roughly above below under "
    "exactly half halves third thirds fourth fourths quarter fifth sixth seventh eighth eighths "
    "ninth tenth tenths hundredth thousandth zero one two three four five six seven eight nine "
    "ten eleven twelve hundred thousand million billion trillion dozen pair percent base if "
    "when where only either neither both but except without is are was be isnt wrong incorrect "
    "maybe perhaps possibly unless until greater smaller bigger larger factorial squared cubed "
    "power root double twice thrice triple negative positive choose per mixed remainder "
    "remaining r equals equal undefined infinity infinite impossible option choice answer x nor "
    "false true error unknown invalid versus vs between through up down"
)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}

NUMBER_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
}  # fmt: skip


def unit_of(spelling: str) -> str:
    """The unit of a spelling, empty when it is none."""
    return _UNITS.get(spelling) or _UNITS.get(spelling.casefold(), "")


def is_bare_unit(token: Token) -> bool:
    r"""A unit or noun that can be told from variables without ``\text``."""
    if token.kind != "run":
        return False
    is_noun = len(token.text) > 3 and bool(set(token.text) & set("aeiou"))  # noqa: PLR2004
    return is_noun or bool(unit_of(token.text) or token.text in _COMPOUND)


def scale_of(tokens: Sequence[Token]) -> int | None:
    """The power of ten of ``million`` and its like when it comes first."""
    return _SCALES.get(tokens[0].text.casefold()) if tokens else None


def read_label(tokens: Sequence[Token]) -> Label:
    """What the tokens after a number say.

    Raises:
        Unreadable: They are more than a label: they change the number or hedge it.
    """
    reader = _LabelReader()
    for token in tokens:
        reader.add(token)
    return reader.label()


class _LabelReader:
    def __init__(self) -> None:
        self.above: dict[str, int] = {}
        self.below: dict[str, int] = {}
        self.words: set[str] = set()
        self.is_below = False
        self.power = 1
        self.awaits_exponent = False
        self.last: tuple[dict[str, int], str] | None = None

    def add(self, token: Token) -> None:
        if token.text in {"{", "}", ".", "(", ")", "\\cdot", "-", "'"}:
            return
        if token.text == "^":
            self.awaits_exponent = True
        elif self.awaits_exponent:
            self.exponent(token)
        elif token.text in {"/", "per"}:
            self.is_below = True
        elif token.text in {"squared", "cubed"}:
            self.exponent(token)
        elif token.text in _POWERS:
            self.power = _POWERS[token.text]
        elif token.kind in {"word", "run"} or token.text in {"°", "\\$", "€", "£", "¥", "¢"}:
            self.word(token.text)
        else:
            raise Unreadable(f"{token.text!r} beside a number")

    def exponent(self, token: Token) -> None:
        power = _POWERS.get(token.text) or (int(token.text) if token.text in "1234" else 0)
        if self.last is None or not power:
            raise Unreadable("an exponent that belongs to no unit")
        if self.last[0][self.last[1]] != 1:
            raise Unreadable("a unit raised twice")
        self.last[0][self.last[1]] = power
        self.awaits_exponent = False

    def word(self, text: str) -> None:
        unit = unit_of(text)
        if unit:
            side = self.below if self.is_below else self.above
            side[unit] = self.power
            self.last, self.power = (side, unit), 1
        elif text.casefold() in _COMPOUND:
            top, _, bottom = _COMPOUND[text.casefold()].partition("/")
            self.above[top] = 1
            if bottom:
                self.below[bottom] = 1
        elif {text.casefold(), text.casefold().rstrip("s")} & _TELLING:
            raise Unreadable(f"{text!r} beside a number")
        elif text.casefold() in {"unit", "units"}:
            self.power = 1
        elif text.casefold() not in _SILENT | ORDINALS:
            self.words.add(text.casefold().rstrip("s"))

    def label(self) -> Label:
        if self.power > 1 or self.awaits_exponent:
            raise Unreadable("a power without its unit")
        if len(self.words) > 4:  # noqa: PLR2004
            raise Unreadable("a sentence beside a number")
        sides = [
            "*".join(
                f"{unit}^{power}" if power > 1 else unit for unit, power in sorted(side.items())
            )
            for side in (self.above, self.below)
        ]
        return Label("/".join(filter(None, sides)), frozenset(self.words))


def agree(gold: Label, answer: Label) -> bool:
    """Whether two labels may stand for the same: one may be missing, they may not conflict."""
    if NO_LABEL in {answer, gold}:
        return True
    if gold.unit or answer.unit:
        return gold.unit == answer.unit
    return bool(gold.words & answer.words)
