"""All looks together, and the conclusion: can this machine run a benchmark?"""

from contextlib import suppress
from functools import partial
from pathlib import Path

from harness import __version__
from harness.doctor import cached, engines, hub, outside, sandbox
from harness.doctor.bounded import Check, run_checks
from harness.doctor.counters import look_at_energy
from harness.doctor.extras import look_at_extras
from harness.doctor.finding import Finding
from harness.doctor.fits import Fit, fits, places
from harness.doctor.machine import GROUP as MACHINE
from harness.doctor.machine import Gpus, find_gpus, look_at_machine, memory_bytes
from harness.doctor.packages import GROUP as PACKAGES
from harness.doctor.packages import look_at_packages
from harness.doctor.storage import GROUP as DISK
from harness.doctor.storage import look_at_storage
from harness.doctor.system import look_at_system
from harness.errors import ConfigError
from harness.models import HubModel, ModelConfig
from harness.models.listed import model_names, read_model
from harness.records import Record

DISTILLS = "r1_distill_"
_QUICK_S, _NETWORK_S, _SANDBOX_S = 90.0, 90.0, 180.0


class Diagnosis(Record):
    """The result of ``harness doctor``."""

    harness_version: str
    can_run: bool
    engines: tuple[str, ...]
    """The engines that start on this machine."""
    blocked: tuple[str, ...]
    """Why nothing can be run; empty when something can."""
    findings: tuple[Finding, ...]
    fits: tuple[Fit, ...]
    """The R1 distills, unquantised, that fit."""


def diagnose(results_dir: Path) -> Diagnosis:
    """Looks at everything; takes as long as the slowest look, and never longer than its limit."""
    models = described_models()
    gpus, gpu_findings = _gpus()
    where = places(gpus.devices, memory_bytes())
    largest = max(place.memory_bytes for place in where)
    first = next((m for m in models.values() if isinstance(m, HubModel)), None)
    checks = [
        Check(PACKAGES, "packages", _QUICK_S, look_at_packages),
        Check(MACHINE, "CPU", _QUICK_S, look_at_machine),
        Check(MACHINE, "system", _QUICK_S, look_at_system),
        Check(MACHINE, "energy", _QUICK_S, look_at_energy),
        Check(engines.GROUP, "transformers", engines.LIMIT_S, engines.look_at_engines),
        Check(sandbox.GROUP, sandbox.LEVEL, _SANDBOX_S, sandbox.look_at_sandbox),
        Check(
            cached.MODELS,
            cached.HERE,
            _NETWORK_S,
            partial(cached.look_at_models, models, largest),
        ),
        Check(cached.TASKS, cached.HERE, _QUICK_S, cached.look_at_tasks),
        Check(hub.GROUP, hub.ACCESS, _NETWORK_S, partial(hub.look_at_hub, first)),
        Check(DISK, "results", _QUICK_S, partial(look_at_storage, results_dir)),
        Check(outside.GROUP, "extensions", _QUICK_S, outside.look_at_outside),
        Check("extras", "extras", _QUICK_S, look_at_extras),
    ]
    found = [*gpu_findings, *run_checks(checks)]
    distills = [model for name, model in models.items() if name.startswith(DISTILLS)]
    return conclude(found, fits(distills, where))


def described_models() -> dict[str, ModelConfig]:
    """The models of ``conf/model`` that are whole without further words."""
    found = {}
    for name in model_names():
        with suppress(ConfigError):  # which look_at_outside says
            if (model := read_model(name).model) is not None:
                found[name] = model
    return found


def conclude(findings: list[Finding], fitting: list[Fit]) -> Diagnosis:
    """Summarises the findings: which runs are possible."""

    def usable(group: str, *names: str) -> list[str]:
        return [f.name for f in findings if f.group == group and f.name in names and f.usable]

    starting = usable(engines.GROUP, "transformers", "vllm")
    blocked = []
    if not starting:
        blocked.append("no engine starts")
    if not usable(sandbox.GROUP, sandbox.LEVEL):
        blocked.append("model-written code cannot be confined as sandbox.min_level asks")
    of_no_use = {cached.FETCHED, cached.TOO_LARGE}
    models = [f for f in findings if f.group == cached.MODELS and f.name not in of_no_use]
    if not usable(hub.GROUP, hub.ACCESS) and not any(f.usable for f in models):
        blocked.append("no model is on this disk and none can be fetched")
    if not usable(DISK, "results"):
        blocked.append("results cannot be written")
    return Diagnosis(
        harness_version=__version__,
        can_run=not blocked,
        engines=tuple(starting),
        blocked=tuple(blocked),
        findings=tuple(findings),
        fits=tuple(fitting),
    )


def _gpus() -> tuple[Gpus, list[Finding]]:
    """The GPUs, which the other looks need to know; none where asking broke or hung."""
    answer: list[Gpus] = []

    def look() -> tuple[Finding, ...]:
        answer.append(find_gpus())
        return answer[0].findings

    found = run_checks([Check(MACHINE, "GPU", _QUICK_S, look)])
    return (answer or [Gpus()])[0], found
