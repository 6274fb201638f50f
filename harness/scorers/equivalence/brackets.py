"""Token lists by their brackets: cut, wrapped and unwrapped."""

from harness.scorers.equivalence.latex import Token, Unreadable, depth_change


def split(tokens: list[Token], separators: frozenset[str]) -> list[list[Token]]:
    """The pieces between separators outside all brackets."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += depth_change(token)
        if depth == 0 and token.text in separators and token.kind != "letter":
            pieces.append([])
        else:
            pieces[-1].append(token)
    return pieces


def unwrap(tokens: list[Token]) -> list[Token]:
    """Removes braces around the whole."""
    while len(tokens) > 1 and tokens[0].text == "{" and encloses(tokens):
        tokens = tokens[1:-1]
    return tokens


def encloses(tokens: list[Token]) -> bool:
    """The first token's bracket closes at the last token."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += depth_change(token)
        if depth <= 0:
            return at == len(tokens) - 1
    return False


def is_unbalanced(tokens: list[Token]) -> bool:
    """Brackets do not match up in number."""
    return sum(map(depth_change, tokens)) != 0


def matching_brace(tokens: list[Token], start: int) -> int:
    """The position of the bracket that closes the one at ``start``."""
    depth = 0
    for at in range(start, len(tokens)):
        depth += depth_change(tokens[at])
        if depth == 0:
            return at
    raise Unreadable("unbalanced braces")
