"""The normal form of an answer, by which equal strings are found and votes counted."""

from harness.scorers.equivalence.latex import Token, Unreadable, tokenize


def canonical(answer: str) -> str:
    r"""One string for all spellings of an answer that differ in decoration only.

    The form by which equal strings are found, for counting votes: ``\dfrac12`` and ``\frac{1}{2}``
    share one, ``1/2`` and ``0.5`` do not. Empty for an answer without a character. Never raises;
    a text too long to be tokenized is its own normal form, without white space.
    """
    try:
        text = spell(tokenize(answer))
    except Unreadable:
        text = ""
    return text or " ".join(answer.split())


def spell(tokens: list[Token]) -> str:
    """The string of ``canonical``; in math mode, words and letters are kept apart."""
    kept: list[str] = []
    for token in tokens:
        is_bare = token.kind == "number" and kept and kept[-1] in {"\\frac", "\\binom"}
        if is_bare and len(token.text) > 1 and token.text.isdigit():
            # As TeX has it: \frac12 is 1 over 2.
            kept += [token.text[0], token.text[1:]]
            continue
        kept.append(f'"{token.text}"' if token.kind == "word" else token.text)
        if len(kept) > 2 and kept[-1] == "}" and kept[-3] == "{" and _is_loose(kept):  # noqa: PLR2004
            kept[-3:] = [kept[-2]]
    return " ".join(kept)


def _is_loose(kept: list[str]) -> bool:
    """The group that ends here prints the same without its braces."""
    before = kept[-4] if len(kept) > 3 else ""  # noqa: PLR2004
    inside = kept[-2]
    is_one = len(inside) == 1 or (inside[0] == "\\" and inside[1:].isalpha())
    return is_one or before in {"", "^", "_", "{", "(", "=", ",", "-", "+"}
