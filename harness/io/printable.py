"""Text from files that strangers may have written, made safe for a terminal."""


def printable(text: str, keep: str = "") -> str:
    r"""The text with what a terminal would obey, or show as nothing, written out: ``\x1b``.

    Args:
        text: From anywhere.
        keep: Characters that are kept, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)
