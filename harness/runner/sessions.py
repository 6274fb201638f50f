"""A run's sessions: an engine from loading to its end, recorded whatever happens to it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from harness.engines.base import Clock, Counting, Engine
from harness.engines.build import build_engine
from harness.engines.identity import Unlike, unlike
from harness.errors import StoreError
from harness.machine.energy import Energy, EnergyMeter
from harness.machine.provenance import collect
from harness.models import ResolvedModel, pinned, resolve
from harness.models.chat_tokenizer import Codec
from harness.records import EngineInfo
from harness.runner.build_result import choose_pricing, usd_per_s
from harness.runner.pipeline import run_clock
from harness.runner.prepared import PreparedRun
from harness.runner.shards import asked_ids
from harness.runner.smoke_test import Canary, chosen, is_wanted, refuse_faults
from harness.store.heartbeat import Heartbeat, beating
from harness.store.manifest import CanaryReport, LostLoad, RunManifest, Session
from harness.store.progress import RunProgress
from harness.store.run_files import Run
from harness.tasks import load_spec

log = logging.getLogger(__name__)


@dataclass
class SessionLog:
    """Collects what a session adds to a run's manifest."""

    sessions: list[Session]
    lost_loads: list[LostLoad]
    canary: CanaryReport | None
    is_part_of_recording: bool

    @classmethod
    def of(cls, manifest: RunManifest) -> Self:
        """A log that starts from an existing manifest."""
        return cls(
            list(manifest.sessions),
            list(manifest.lost_loads),
            manifest.canary,
            manifest.is_part_of_recording,
        )

    def apply_to(self, manifest: RunManifest) -> RunManifest:
        """The manifest with the collected facts."""
        update = {
            "sessions": tuple(self.sessions),
            "lost_loads": tuple(self.lost_loads),
            "canary": self.canary,
            "is_part_of_recording": self.is_part_of_recording,
        }
        return manifest.model_copy(update=update)


@contextmanager
def opened_engine(
    prepared: PreparedRun, clock: Clock, session_log: SessionLog, progress: RunProgress
) -> Iterator[Engine]:
    """Opens the engine, with its session recorded before it generates."""
    sessions = session_log.sessions
    if prepared.recording is not None:
        with _replaying(prepared, prepared.recording, session_log) as replay:
            _write(prepared, session_log)
            yield replay
        return
    with beating(prepared.run.folder, clock, datetime.now(UTC)) as first_beat:
        try:
            with _session(prepared, clock, session_log, progress, first_beat) as engine:
                yield engine
        finally:
            if all(each.opened_s != first_beat.opened_s for each in sessions):
                lost = LostLoad(
                    started_at=first_beat.started_at,
                    opened_s=first_beat.opened_s,
                    clock_end_s=clock(),
                    is_end_known=True,
                )
                session_log.lost_loads.append(lost)
                _write(prepared, session_log)


@contextmanager
def _session(
    prepared: PreparedRun,
    clock: Clock,
    session_log: SessionLog,
    progress: RunProgress,
    first_beat: Heartbeat,
) -> Iterator[Engine]:
    """Loads the engine, and records its session from then to its end."""
    config, sessions = prepared.manifest.config, session_log.sessions
    model = resolve(
        pinned(config.model, prepared.manifest.model),
        with_weights=config.engine.is_local,
    )
    _check_same_model(prepared, model)
    log.info("loading %s", model.name)
    codec = Codec.load(model)
    canary = _canary(prepared, session_log, codec)
    engine = build_engine(
        config.engine, model, codec, clock, config.protocol.context_tokens, prepared.run.folder
    )
    with engine:
        if canary is not None:
            _send_canary(canary, engine, prepared, session_log)
        # Loading took time in which nothing was generated; the session starts after it.
        loaded, machine = engine.info(), collect()
        opened = Session(
            started_at=first_beat.started_at,
            opened_s=first_beat.opened_s,
            clock_start_s=clock(),
            engine=loaded,
            provenance=machine,
            energy_source=Energy(None, "the session ended before its counters were read").described,
        )
        _check_same_machine(prepared, sessions, opened.engine)
        sessions.append(opened)
        _write(prepared, session_log)
        pricing = choose_pricing(config.pricing, opened.engine)
        under_way = engine.tokens_under_way if isinstance(engine, Counting) else None
        progress.generation_starts(usd_per_s(pricing, opened.engine), under_way)
        meter = EnergyMeter(opened.engine.device, devices=opened.engine.device_count)
        try:
            with meter:
                yield engine
        finally:
            # Its end, peak memory and energy are only known now.
            energy = meter.energy
            sessions[-1] = opened.model_copy(
                update={
                    "clock_end_s": clock(),
                    "is_end_known": True,
                    "engine": engine.info(),
                    "energy_joules": energy.joules,
                    "energy_source": energy.described,
                }
            )
            _write(prepared, session_log)


def _canary(prepared: PreparedRun, session_log: SessionLog, codec: Codec) -> Canary | None:
    """Runs the known problems of a long run that has not begun."""
    config = prepared.manifest.config
    requests = len(asked_ids(prepared.prompts, config))
    if session_log.sessions or session_log.canary is not None or not is_wanted(config, requests):
        return None
    specs = [load_spec(task.name) for task in prepared.manifest.tasks]
    if not chosen(spec.scorer for spec in specs):
        return None
    return Canary(config, specs, prepared.scorers, codec)


def _send_canary(
    canary: Canary, engine: Engine, prepared: PreparedRun, session_log: SessionLog
) -> None:
    log.info("canary: a few known problems first (canary=false leaves them out)")
    report = canary.run(engine, prepared.run.folder)
    session_log.canary = report
    _write(prepared, session_log)
    for warning in report.warnings:
        log.warning("canary: %s", warning)
    refuse_faults(report, prepared.manifest.config)
    log.info("canary: %d of %d solved, %.0f s", report.solved, report.problems, report.wall_s)


@contextmanager
def _replaying(prepared: PreparedRun, recording: Run, session_log: SessionLog) -> Iterator[Engine]:
    """A replayed recording, with the recorded sessions: its times are on their clock."""
    config = prepared.manifest.config
    engine = build_engine(config.engine, prepared.manifest.model, None, run_clock(0.0), 0)
    with engine:
        recorded = recording.read_manifest()
        # of all shards together: they are joined to one run
        asked = len(prepared.prompts) * config.protocol.samples_per_problem
        answered = sum(1 for _ in recording.read_completions(with_text=False))
        session_log.is_part_of_recording = recorded.is_part_of_recording or asked < answered
        renamed = {"name": engine.info().name, "version": engine.info().version}
        session_log.lost_loads = list(recorded.lost_loads)
        session_log.sessions = [
            session.model_copy(update={"engine": session.engine.model_copy(update=renamed)})
            for session in recorded.sessions
        ]
        yield engine


def _check_same_model(prepared: PreparedRun, model: ResolvedModel) -> None:
    """Refuses weights that were replaced since the run began: a run has one model."""
    was = prepared.manifest.model
    if (was.sha256, was.revision) != (model.sha256, model.revision):
        raise StoreError(
            f"run {prepared.run.run_id} began with weights of sha256 {str(was.sha256)[:12]} "
            f"(revision {was.revision}), {model.path} now has {str(model.sha256)[:12]} "
            f"(revision {model.revision}); restore those or start a new run"
        )


def _check_same_machine(prepared: PreparedRun, sessions: list[Session], now: EngineInfo) -> None:
    """Refuses another device: its rates and cost cannot be joined with those on record."""
    if not sessions:
        return
    was = sessions[-1].engine
    # Of a server that is not ours, the model's name there is all that tells which model it is.
    of_server = () if prepared.manifest.config.engine.is_local else ("model_path",)
    for name in ("name", "device_name", "device_count", "dtype", "quantization", *of_server):
        before, here = getattr(was, name), getattr(now, name)
        if before != here:
            raise StoreError(
                f"run {prepared.run.run_id} was made with {name} {before}, here it is {here}; "
                "resume it there, or start a new run"
            )
    differing = unlike(was, now)
    if refused := [each for each in differing if not each.is_speed_alone]:
        raise StoreError(
            f"run {prepared.run.run_id} was made with {_words(refused)}; restore that value, or "
            "start a new run"
        )
    if differing:
        log.warning("this session's speed may differ: the run was made with %s", _words(differing))
    if was.version != now.version:
        log.warning("the engine's version changed from %s to %s", was.version, now.version)


def _words(differing: Sequence[Unlike]) -> str:
    return "; ".join(f"{each.name}={each.one}, here it is {each.other}" for each in differing)


def _write(prepared: PreparedRun, session_log: SessionLog) -> None:
    """Writes the manifest."""
    with suppress(StoreError):  # a full disk is reported by whoever loses something through it
        prepared.run.write_manifest(session_log.apply_to(prepared.manifest))
