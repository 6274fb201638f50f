"""The reference pages, written from the code: configuration, commands, schema, Python API."""

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from schema_tables import Row, Schema, as_code, description, plain, referenced, rows, table

from harness.cli.arguments import build_parser
from harness.cli.main import GROUPS, RUN_HELP
from harness.config.settings import RunConfig
from harness.io.paths import conf_files
from harness.runner.compose import compose_one
from harness.store.result import result_schema

ROOT = Path(__file__).resolve().parents[2]

CONFIGURATION = """\
# Configuration keys

`harness run KEY=VALUE` sets any of these ([overrides and sweeps](../overrides.md)). The default is
what `harness run` uses when no override is given. `harness run --cfg job` prints the values that a
command would use.

## Groups

`GROUP=CHOICE` takes a whole file of `conf/GROUP`.

| group | choices |
|---|---|
"""
COMMANDS = """\
# Commands

`--help` after any command prints this too, and `--debug` shows a traceback on errors. All commands
share their [exit statuses](../results.md#exit-statuses).
"""
SCHEMA = """\
# Schema of result.json

`harness schema` prints this as JSON Schema; `harness validate RUN` checks a run against it.
[Results](../results.md) has what each figure means. A `null` is unknown, never 0.

## RunResult
"""
PYTHON_API = """\
# Python API

[From Python](../python.md) has examples. `import harness` loads nothing until a function is used.

## Functions

::: harness.api
    options:
      show_root_heading: false
      show_root_toc_entry: false
      members: [run, load, compare, check, leaderboard, grade]

## What they return

::: harness.runner.finished.Finished
::: harness.store.result.RunResult
::: harness.records.Estimate
::: harness.records.Sample
::: harness.records.Completion
::: harness.records.Verdict
::: harness.records.Grade
::: harness.api.Leaderboard
::: harness.analysis.comparison.Comparison

## Errors

::: harness.errors
    options:
      show_root_heading: false
      show_root_toc_entry: false
"""


def pages() -> dict[str, str]:
    """Each page's text by its name."""
    return {
        "configuration": configuration(),
        "commands": commands(),
        "result-schema": schema_of_results(),
        "python-api": PYTHON_API,
    }


def configuration() -> str:
    """All keys of a run, with type, default and meaning."""
    schema = RunConfig.model_json_schema()
    sections = {"": "RunConfig", **dict(_sections(schema, "", "RunConfig"))}
    links = {model: f"#{_anchor(key)}" for key, model in reversed(sections.items())}
    defaults = compose_one([]).model_dump(mode="json")
    groups = "".join(
        f"| `{group}` | {', '.join(map(as_code, conf_files(group)))} |\n" for group in GROUPS
    )
    parts = [CONFIGURATION + groups]
    for key, model in sections.items():
        composed = defaults if key == "" else defaults.get(key)
        found = (
            row._replace(
                name=f"{_dotted(key)}{row.name}",
                default=_default(row, composed),
                meaning=row.meaning or _comment(key, row.name) or _of_sections(row, schema),
            )
            for row in rows(model, schema, links)
            if row.name != "kind"  # the choice of the group sets it
        )
        heading = f"`{key}`" if key else "Keys of every run"
        parts.append(f"## {heading} {{ #{_anchor(key)} }}\n\n{description(model, schema)}\n")
        parts.append(table(found))
    return "\n".join(parts)


def _sections(schema: Schema, prefix: str, model: str) -> Iterator[tuple[str, str]]:
    """What the keys of a model hold, with its name: ``engine=vllm``, ``limits``."""
    for name, field in schema["$defs"].get(model, schema)["properties"].items():
        kinds = field.get("discriminator", {}).get("mapping", {})
        of_model = {reference.rpartition("/")[2]: kind for kind, reference in kinds.items()}
        for inner in referenced(field):
            kind = f"={of_model[inner]}" if inner in of_model else ""
            yield f"{prefix}{name}{kind}", inner
            yield from _sections(schema, f"{prefix}{name}.", inner)


def _anchor(key: str) -> str:
    return re.sub(r"\W+", "-", key) or "keys-of-every-run"


def _dotted(key: str) -> str:
    """What a section's keys begin with."""
    return f"{key.partition('=')[0]}." if key else ""


def _default(row: Row, composed: Any) -> str:
    """A key's value without overrides; empty where it is a group of keys."""
    value = composed.get(row.name) if isinstance(composed, Mapping) else None
    if isinstance(value, Mapping):
        return ""
    known = isinstance(composed, Mapping) and row.name in composed
    return as_code(value) if known else row.default


def _of_sections(row: Row, schema: Schema) -> str:
    """The meaning of a key that is a group of keys."""
    models = [name for name in re.findall(r"\[(\w+)\]", row.type) if name in schema["$defs"]]
    if len(models) == 1:
        return description(models[0], schema)
    return f"One of {len(models)} kinds; each has its keys." if models else ""


def _comment(key: str, name: str) -> str:
    """The comment above a key of ``conf/config.yaml``."""
    text = (ROOT / "conf" / "config.yaml").read_text(encoding="utf-8")
    block = re.search(rf"^{key}:\n((?:  .*\n)+)", text, re.M) if key else None
    within = block[1] if block else "" if key else text
    found = re.search(rf"((?:^ *# .*\n)+)^ *{name}:", within, re.M)
    return plain(re.sub(r"^ *# ", "", found[1], flags=re.M)) if found else ""


def commands() -> str:
    """Every command with its arguments."""
    parts = [COMMANDS]
    (parsers,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    helps = {each.dest: each.help or "" for each in parsers._choices_actions}
    for name, parser in parsers.choices.items():
        parts.append(f"## `harness {name}` {{ #{name} }}\n\n{_sentence(helps[name])}\n")
        if name == "run":
            parts.append(f"```text\n{RUN_HELP}```\n")
            continue
        usage = parser.format_usage().removeprefix("usage: ")
        parts.append(f"```text\n{usage}```\n")
        parts.append(_arguments(parser))
    return "\n".join(parts)


def _arguments(parser: argparse.ArgumentParser) -> str:
    lines = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
            continue
        shown = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        if action.option_strings and action.nargs != 0:
            shown += f" {_value(action)}"
        meaning = (action.help or "").replace("%%", "%").replace("|", "\\|")
        lines.append(f"| `{shown}` | {meaning} |".replace("*", "\\*"))
    return "\n".join(["| argument | meaning |", "|---|---|", *lines, ""]) if lines else ""


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "\\|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def schema_of_results() -> str:
    """Every key of ``result.json``."""
    schema = result_schema()
    of_configuration = dict(_reversed(_sections(RunConfig.model_json_schema(), "", "RunConfig")))
    links = {name: f"#{name.lower()}" for name in schema["$defs"]}
    links |= {name: f"configuration.md#{_anchor(key)}" for name, key in of_configuration.items()}
    links["RunConfig"] = "configuration.md"
    parts = [SCHEMA, _keys("RunResult", schema, links)]
    for name in sorted(schema["$defs"].keys() - of_configuration.keys() - {"RunConfig"}):
        parts.append(f"## {name}\n\n{description(name, schema)}\n")
        parts.append(_keys(name, schema, links))
    return "\n".join(parts)


def _keys(model: str, schema: Schema, links: Mapping[str, str]) -> str:
    found = rows(model, schema, links)
    return table(
        (row._replace(meaning=row.meaning or _of_sections(row, schema)) for row in found),
        has_defaults=False,
    )


def _reversed(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for key, value in pairs:
        yield value, key
