"""``harness completion``: the script that a shell loads, and the words that it asks for."""

import argparse

from harness.cli.shell_words import Line, complete, split

# Readline takes a word apart at these; what it replaces is then only the last part.
_BREAKS = "=:"

BASH = """\
# eval "$(harness completion bash)"
_harness_completion() {
    COMPREPLY=()
    local word
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <("$1" completion words "+${COMP_LINE:0:COMP_POINT}" \\
        --breaks "+$COMP_WORDBREAKS" 2>/dev/null)
}
complete -o default -o nospace -F _harness_completion harness
"""
ZSH = """\
# eval "$(harness completion zsh)", after compinit
_harness_completion() {
    local -a found
    found=("${(@f)$("$words[1]" completion words "+${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
    if [[ -n $found[1] ]]; then
        compadd -Q -S '' -a found
    else
        _files
    fi
}
compdef _harness_completion harness
"""
FISH = """\
# harness completion fish | source
function __harness_completion
    set -l words (commandline -po)
    $words[1] completion words "+"(commandline -cp | string collect) 2>/dev/null | string trim -r
end
complete -c harness -f -a '(__harness_completion)'
complete -c harness -F -n '__fish_seen_subcommand_from compare grade claims report leaderboard'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def completion(options: argparse.Namespace) -> int:
    """Prints a shell's script, or what could come next on a line."""
    if options.shell in SCRIPTS:
        print(SCRIPTS[options.shell], end="")  # noqa: T201
        return 0
    line = split((options.line or "").removeprefix("+"))
    replaced = _replaced_from(line, "".join(set(_BREAKS) & set(options.breaks)))
    for found in complete(line.words, options.parser):
        print(found.word[replaced:] + (" " if found.is_whole else ""))  # noqa: T201
    return 0


def _replaced_from(line: Line, breaks: str) -> int:
    """Where in the last word readline begins to replace: after a break, or an open quote."""
    if not breaks:
        return 0
    if line.quoted_from is not None:
        return line.quoted_from
    return max(line.words[-1].rfind(mark) for mark in breaks) + 1
