"""Every advice in a message of the program can be followed.

All texts of the code are looked through: a command that one names is parsed as the program parses
it, an override is composed, a setting is checked against the configuration, an extra against the
package, a file against the checkout.
"""

import ast
import re
import shlex
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin

import pytest
import yaml
from packaging.requirements import Requirement
from pydantic import BaseModel, TypeAdapter

from harness.cli.arguments import build_parser
from harness.config.settings import RunConfig
from harness.errors import UserError
from harness.io.paths import CONF_DIR
from harness.runner.sweep.model_choice import with_models
from tests.conftest import REPOSITORY
from tests.facts import known

SAMPLES = {
    "engine": "transformers",
    "experiment": "demo",
    "model": "smollm2_135m",
    "protocol": "greedy",
    "resume": "auto",
    "tasks": "[math500]",
    "{right}": "math",
}
"""What is put in the place of what a message fills in, by key."""
WORD = re.compile(
    r"(--?[a-z][\w-]*|[+~]?[\w./@]+=\S+|'[^']+'|RUN…?|FILE|\d+|\{[^{}]*\}\S*)(?=[\s,;)]|$)"
)


def texts() -> Iterator[tuple[str, str]]:
    """All texts but docstrings, with their places; what is filled in stands in braces."""
    for file in sorted((REPOSITORY / "harness").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        skipped: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                skipped.add(id(node.value))  # a docstring
            if isinstance(node, ast.JoinedStr):
                skipped |= {id(part) for part in node.values}
                yield f"{file.name}:{node.lineno}", "".join(map(part_of, node.values))
            elif is_text(node) and id(node) not in skipped:
                yield f"{file.name}:{node.lineno}", str(node.value)


def is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def part_of(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    return "{" + re.sub(r"[{}\s]", "", ast.unparse(node.value)) + "}"


TEXTS = list(texts())
COMMAND = re.compile(r"(?<![\w/.`-])harness ([a-z][a-z-]*)((?: +\S+)*)")
COMMANDS = set(known(build_parser()._subparsers._group_actions[0].choices)) | {"run"}  # type: ignore[union-attr]


def commands() -> list[Any]:
    found = []
    for place, text in TEXTS:
        for match in COMMAND.finditer(text):
            if match[1] not in COMMANDS:
                continue  # prose: "the harness that", found again below where it is not
            words, rest = [], match[2].lstrip()
            while word := WORD.match(rest):
                words.append(word[0])
                rest = rest[word.end() :].lstrip(" ")
            if words:
                found.append(pytest.param(match[1], words, id=f"{place} {match[0][:60]}"))
    return found


def filled(word: str) -> str:
    """A word with samples in the place of what the message fills in."""
    key, is_given, value = re.sub(r"^\{\w+\}(?=\w+=)", "", word.strip("'")).partition("=")
    # The engine that is being made, and models by their path or their name on the hub.
    if is_given and ("{" in value or (key == "model" and "/" in value)):
        return f"{key}={SAMPLES.get(key, 'x')}"
    if is_given:
        return f"{key}={value if '[' in value else value.split(',')[0]}"
    return re.sub(r"\{[^{}]*\}|RUN…?|FILE", SAMPLES.get(word, "x"), key)


@pytest.mark.parametrize(("name", "words"), commands())
def test_a_command_that_a_message_names_is_taken(
    name: str, words: list[str], tmp_path: Path
) -> None:
    given = shlex.split(" ".join(map(filled, words)))
    if name == "run":
        overrides = [each for each in given if not each.startswith("-") and "=" in each]
        composes(with_models([each for each in overrides if "…" not in each], tmp_path))
        return
    parser = build_parser()
    for arguments in (given, [*given, "x"], [*given, "x", "y"]):
        try:
            parser.parse_args([name, *arguments])
        except UserError:
            continue
        except SystemExit:  # --help ends by itself
            assert "--help" in arguments
        return
    pytest.fail(f"harness {name} {' '.join(given)} is refused")


def composes(overrides: list[str]) -> None:
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        compose("config", [each for each in overrides if each != "x"])


def test_enough_commands_are_found() -> None:
    assert len(commands()) >= 15


# --- settings ---------------------------------------------------------------------------------

SETTING = re.compile(
    r"(?<![\w.+/'-])([a-z_]+(?:\.[a-z_]+)*)=([A-Za-z0-9_./:-]*[A-Za-z0-9_])(?![\w{=(])"
)
GROUPS = {each.name for each in CONF_DIR.iterdir() if each.is_dir()}


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The records that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in {Annotated, Union, types.UnionType}:
        return [model for each in get_args(annotation) for model in models_in(each)]
    return []


def fields_at(path: list[str]) -> list[Any]:
    """The fields that a dotted key names, of each record that it may be in."""
    owners: list[type[BaseModel]] = [RunConfig]
    for name in path[:-1]:
        fields = [owner.model_fields[name] for owner in owners if name in owner.model_fields]
        owners = [model for field in fields for model in models_in(field.annotation)]
    return [owner.model_fields[path[-1]] for owner in owners if path[-1] in owner.model_fields]


def settings() -> list[Any]:
    found = []
    for place, text in TEXTS:
        for key, value in SETTING.findall(text):
            is_ours = "." in key or key in RunConfig.model_fields
            if is_ours and key.split(".")[0] in RunConfig.model_fields and value != "x":
                found.append(pytest.param(key, value, id=f"{place} {key}={value}"))
    return found


@pytest.mark.parametrize(("key", "value"), settings())
def test_a_setting_that_a_message_names_is_one(key: str, value: str, tmp_path: Path) -> None:
    if key in GROUPS:  # engine=vllm
        choices = {file.stem for file in (CONF_DIR / key).glob("*.yaml")}
        is_described = with_models([f"{key}={value}"], tmp_path) != [f"{key}={value}"]
        assert is_described or value in choices | {"NAME", "a"}
        return
    fields = fields_at(key.split("."))
    assert fields, f"{key}: no such key"
    if value.isupper():  # FOLDER: the reader's to fill in
        return
    plain = yaml.safe_load(value)
    assert any(takes(field, plain) for field in fields), f"{key}={value} is refused"


def takes(field: Any, value: Any) -> bool:
    try:
        TypeAdapter(field.rebuild_annotation()).validate_python(value)
    except ValueError:
        return False
    return True


def test_enough_settings_are_found() -> None:
    assert len(settings()) >= 20


# --- packages and files -----------------------------------------------------------------------


def test_what_pip_is_told_to_install_can_be_named() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(project["optional-dependencies"])
    told = [
        (place, asked)
        for place, text in TEXTS
        for asked in re.findall(r"pip install '([^'{]+)'", text)
    ]
    assert told
    for place, asked in told:
        requirement = Requirement(asked)
        if requirement.name == project["name"]:
            assert requirement.extras <= extras, place


def test_files_that_messages_name_are_there() -> None:
    named = {
        (place, path)
        for place, text in TEXTS
        for path in re.findall(r"(?<![\w/{])((?:scripts|docs|requirements)/[\w./-]*\w)", text)
    }
    assert named
    missing = {each for each in named if not (REPOSITORY / each[1]).exists()}
    assert missing == set()
