"""Where the figures of a page come from: what ran, on what, under which protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.engines.identity import known_facts
from harness.models import origin
from harness.report.page.runs import ReportRun
from harness.runner.summary import attempts_words


@dataclass(frozen=True)
class Fact:
    """One line of the table: what each run says."""

    label: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs say different things."""
        return len(set(self.values)) > 1


def provenance(runs: Sequence[ReportRun]) -> list[Fact]:
    """The facts that a reader needs to make the runs again."""
    columns = [_facts(run) for run in runs]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    return [Fact(label, tuple(column.get(label, "-") for column in columns)) for label in labels]


def _facts(run: ReportRun) -> dict[str, str]:
    manifest, source = run.result.manifest, run.result.manifest.provenance
    protocol = manifest.config.protocol
    facts = {
        "run": run.result.manifest.run_id,
        "status": manifest.status,
        "started": f"{manifest.started_at:%Y-%m-%d %H:%M} UTC",
        "model": manifest.model.name,
        "weights": origin(manifest.config.model),
        "weights sha256": _known(manifest.model.sha256),
        **_engine(run),
        "processor": f"{source.cpu}, {source.cpu_count} cores, {source.memory_bytes / 1e9:.0f} GB",
        "GPU": "; ".join(f"{g.name}, driver {g.driver}" for g in source.gpus) or "none",
        "protocol": f"{protocol.name}: temperature {protocol.temperature:g}, top_p "
        f"{protocol.top_p:g}, {protocol.max_new_tokens:,} new tokens, "
        f"{protocol.samples_per_problem} per problem",
        **{f"protocol, {name}": str(value) for name, value in protocol.options.items()},
        "seed": str(manifest.config.seed),
        "chat template sha256": _known(manifest.template_sha256),
    }
    if (attempts := attempts_words(run.result)) is not None:
        facts["failed attempts"] = attempts
    if manifest.config_changes:
        facts["configuration changed"] = "; ".join(
            f"{change} (after session {change.sessions_before})"
            for change in manifest.config_changes
        )
    for task in manifest.tasks:
        name = task.name
        facts[f"{name}, selection"] = f"{task.selection} ({task.origin}), version {task.version}"
        facts[f"{name}, scorer"] = task.scorer
        if task.examples:
            facts[f"{name}, examples"] = ", ".join(task.examples)
        facts[f"{name}, problems sha256"] = task.problems_sha256
        facts[f"{name}, fingerprint"] = manifest.protocol_fingerprints.get(name, "unknown")
    if (expected := manifest.expected) is not None:
        facts["generation, expected before"] = (
            f"{expected.generation_s:,.0f} s ({expected.generation_low_s:,.0f} to "
            f"{expected.generation_high_s:,.0f}), {expected.output_tokens:,} tokens; by "
            f"{expected.basis}: {expected.source}"
        )
        facts["generation, measured"] = _measured(run)
    prices = [getattr(run.result.pricing, basis) for basis in run.result.pricing.bases()]
    facts["prices"] = "; ".join(price.citation() for price in prices) or "none"
    facts["energy"] = manifest.energy.described
    commit = _known(source.git_commit) + (" with uncommitted changes" if source.git_dirty else "")
    facts["harness"] = f"{source.harness_version}, commit {commit}"
    facts["python"] = source.python
    facts["platform"] = source.platform
    facts["packages"] = ", ".join(f"{name} {version}" for name, version in source.packages.items())
    return facts


def _measured(run: ReportRun) -> str:
    seconds = run.result.estimate("generation_s").value
    tokens = run.result.estimate("completion_tokens.total").value
    return "unknown" if seconds is None else f"{seconds:,.0f} s, {tokens or 0:,.0f} tokens"


def _engine(run: ReportRun) -> dict[str, str]:
    engine = run.result.manifest.engine
    if engine is None:
        return {"engine": "none on record"}
    return {
        "engine": f"{engine.name} {engine.version}",
        "device": f"{engine.device_count} x {engine.device_name} ({engine.device})",
        "dtype": engine.precision,
        "sessions": str(len(run.result.manifest.sessions)),
        **{_words(name): str(value) for name, value in known_facts(engine).items()},
    }


def _words(fact: str) -> str:
    """``engine: attention backend`` of ``settings.attention_backend``; a variable as it is."""
    kind, _, name = fact.partition(".")
    return f"engine: {name.replace('_', ' ')}" if kind == "settings" else name


def _known(value: str | None) -> str:
    return "unknown" if value is None else value
