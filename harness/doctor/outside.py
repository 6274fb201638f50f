"""Checks included folders and other packages: what they add, and whether it is valid."""

from collections.abc import Iterator

from harness.doctor.finding import Finding
from harness.engines.config import BaseEngineConfig
from harness.errors import ConfigError
from harness.io.extensions import ENGINES, GROUPS, SCORERS, declared, load, origin
from harness.io.paths import Place, places
from harness.models.listed import model_names, read_model
from harness.scorers.base import ScorerDefinition

GROUP = "extensions"
_BASES: dict[str, type] = {ENGINES: BaseEngineConfig, SCORERS: ScorerDefinition}


def look_at_outside() -> list[Finding]:
    """A finding for each included folder, each thing of a package, and each broken model file."""
    return [*map(_folder, places()), *_packages(), *_broken_models()]


def _folder(place: Place) -> Finding:
    conf = sorted(place.conf.rglob("*.yaml")) if place.conf else []
    tasks = sorted(place.tasks.glob("*/task.yaml")) if place.tasks else []
    brought = [f"{file.parent.name} {file.stem}" for file in conf]
    brought += [f"task {file.parent.name}" for file in tasks]
    return Finding(
        group=GROUP,
        name=str(place.folder),
        status="ok" if brought else "warn",
        value=", ".join(brought) or "nothing: no .yaml in conf/, no task.yaml in tasks/",
        remedy=None if brought else "harness new task NAME --dir FOLDER writes one",
    )


def _packages() -> Iterator[Finding]:
    for group in GROUPS:
        kind = group.rpartition(".")[2].removesuffix("s")
        for name in declared(group):
            try:
                if (base := _BASES.get(group)) is not None:
                    load(group, name, base)
            except ConfigError as error:
                yield _missing(f"{kind} {name}", error)
            else:
                value = origin(group, name) or ""
                yield Finding(group=GROUP, name=f"{kind} {name}", status="ok", value=value)


def _broken_models() -> Iterator[Finding]:
    for name in model_names():
        try:
            read_model(name)
        except ConfigError as error:
            yield _missing(f"model {name}", error)


def _missing(name: str, error: ConfigError) -> Finding:
    return Finding(group=GROUP, name=name, status="missing", value=str(error))
