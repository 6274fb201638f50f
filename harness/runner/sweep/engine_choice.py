"""``engine=NAME`` for an engine of another package: a Hydra choice with its default settings.

A file of ``conf/engine`` with that name, in an included folder, takes precedence.

A file of ``conf/engine`` with that name, in a folder of the user's, goes before.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.engines.build import added_engines, engine_class
from harness.io.paths import conf_file

_ENGINE = "engine="
_MUST_BE_GIVEN = "???"


def write_engines(arguments: Sequence[str], folder: Path) -> None:
    """Writes the file of each engine of a package that a command chooses.

    Args:
        arguments: Of ``harness run``.
        folder: Of this command's choices.

    Raises:
        ConfigError: The package's engine cannot be imported, or has the name of a built-in one.
    """
    given = [each.removeprefix(_ENGINE) for each in arguments if each.startswith(_ENGINE)]
    chosen = {name.strip("'\" ") for each in given for name in each.split(",")}
    for name in sorted(chosen & set(added_engines())):
        if conf_file("engine", name) is None:
            (folder / "engine").mkdir(parents=True, exist_ok=True)
            text = yaml.safe_dump(_defaults(name), allow_unicode=True)
            (folder / "engine" / f"{name}.yaml").write_text(text, encoding="utf-8")


def _defaults(name: str) -> dict[str, Any]:
    fields = engine_class(name).model_fields
    needed = {key: _MUST_BE_GIVEN for key, each in fields.items() if each.is_required()}
    known = engine_class(name).model_construct(kind=name).model_dump(mode="json", warnings=False)
    return {**known, **needed, "kind": name}
