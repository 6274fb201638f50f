"""The level of confinement that model-written code really gets here."""

from harness.doctor.finding import Finding
from harness.io.paths import CONF_DIR
from harness.io.yamlfile import load_yaml
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.level import find_level
from harness.scorers.sandbox.protocol import LEVELS

GROUP, LEVEL = "sandbox", "level"
_REMEDY = (
    "unprivileged user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0, "
    "user.max_user_namespaces above 0), or Linux 5.13 with Landlock; in Docker --security-opt "
    "seccomp=unconfined --security-opt apparmor=unconfined (docs/troubleshooting.md)"
)


def configured_sandbox() -> SandboxConfig:
    """The sandbox settings of ``conf/config.yaml``, which are the defaults of a run."""
    config = load_yaml((CONF_DIR / "config.yaml").read_text(encoding="utf-8"))
    return SandboxConfig.model_validate(config["sandbox"])


def look_at_sandbox() -> list[Finding]:
    """Tries each level with its self-test, strongest first."""
    config = configured_sandbox()
    report = find_level(config.limits())
    if report is None:
        return [
            Finding(
                group=GROUP,
                name=LEVEL,
                status="missing",
                value="no level passes its self-test, not even none",
                remedy=_REMEDY,
            )
        ]
    value = report.one_line.removeprefix("sandbox level ")
    if LEVELS.index(report.level) > LEVELS.index(config.min_level):
        return [
            Finding(
                group=GROUP,
                name=LEVEL,
                status="missing",
                value=f"only {value}; sandbox.min_level={config.min_level} is required",
                remedy=f"{_REMEDY}; tasks of maths need none",
            )
        ]
    is_best = report.level == LEVELS[0]
    return [
        Finding(
            group=GROUP,
            name=LEVEL,
            status="ok" if is_best else "warn",
            value=value,
            remedy=None if is_best else _REMEDY,
        )
    ]
