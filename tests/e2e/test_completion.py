"""The scripts in the shells that they are for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.completion import SCRIPTS

REPOSITORY = Path(__file__).resolve().parents[2]
# Bash splits a word at its breaks and hands the parts on, as it would at a key press.
ASK = """
eval "$(harness completion bash)"
COMP_LINE=$1 COMP_POINT=${#1}
set -f; IFS=' '; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_harness_completion harness
printf '%s\\n' "${COMPREPLY[@]}"
complete -p harness
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH with a command ``harness``."""
    command = tmp_path / "harness"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n')
    command.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "HOME": str(tmp_path),
    }


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}")
    return found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("harness run protocol.max_n", ["protocol.max_new_tokens="]),
        ("harness run model=smol", ["smollm2_135m "]),
        ("harness run 'tasks=[humaneval:20,math_m", ["tasks=[humaneval:20,math_mini"]),
        ("harness run tasks=[humaneval:20,math_m", ["20,math_mini"]),
        ("harness doc", ["doctor "]),
        ("harness run nothing_like_it", [""]),
    ],
)
def test_bash(line: str, expected: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        [shell("bash"), "--norc", "-c", ASK, "bash", line],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    *words, registered = done.stdout.splitlines()
    assert words == expected, done.stderr
    assert registered == "complete -o default -o nospace -F _harness_completion harness"
    assert done.stderr == ""


def test_zsh_can_read_its_script(environment: dict[str, str]) -> None:
    program = 'autoload -U compinit; compinit -u -D; eval "$1"; print $_comps[harness]'
    done = subprocess.run(
        [shell("zsh"), "-f", "-c", program, "zsh", SCRIPTS["zsh"]],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.stdout, done.stderr) == ("_harness_completion\n", "")


def test_fish(environment: dict[str, str]) -> None:
    program = 'harness completion fish | source; complete -C "harness run protocol.max_n"'
    done = subprocess.run(
        [shell("fish"), "--no-config", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout == "protocol.max_new_tokens=\n", done.stderr
