"""Compares Python and the installed packages with the harness's requirements."""

import platform
import tomllib
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement

from harness.doctor.finding import Finding
from harness.io.paths import checkout_dir

GROUP = "packages"
# Asked for by hydra-core, which cannot read its own grammar with another one.
_ANTLR = Requirement("antlr4-python3-runtime==4.9.*")


def look_at_packages() -> list[Finding]:
    """Python, then every package that a run needs."""
    return [
        Finding(group=GROUP, name="python", status="ok", value=platform.python_version()),
        *(_compared(requirement) for requirement in [*demands(), _ANTLR]),
    ]


def demands(extra: str = "") -> list[Requirement]:
    """The requirements of the harness: in general, or for one of its extras."""
    checkout = checkout_dir()
    if checkout is not None:
        project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
        return [Requirement(text) for text in _named(project["project"], extra)]
    found = [Requirement(text) for text in metadata.requires("gegenprobe") or []]
    return [each for each in found if _is_for(each, extra)]


def _named(project: dict[str, Any], extra: str) -> list[str]:
    listed = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [str(text) for text in listed]


def _is_for(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return not extra
    return requirement.marker.evaluate({"extra": extra}) and (
        not extra or not requirement.marker.evaluate({"extra": ""})
    )


def installed(name: str) -> str | None:
    """The version of a distribution, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _compared(wanted: Requirement) -> Finding:
    version = installed(wanted.name)
    if version is not None and wanted.specifier.contains(version, prereleases=True):
        return Finding(group=GROUP, name=wanted.name, status="ok", value=version)
    asked = f"{wanted.name}{wanted.specifier}"
    return Finding(
        group=GROUP,
        name=wanted.name,
        status="missing" if version is None else "warn",
        value="not installed" if version is None else f"{version}, wanted {wanted.specifier}",
        remedy=f"pip install '{asked}'",
    )
