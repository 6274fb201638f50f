"""Merges the shards of one run: nothing missing, nothing twice, one clock.

The shards are joined end to end on the run's clock, like the sessions of a resumed run. So the
run's times are sums over all workers, and with its machine time its cost; its rates are those of
one worker.

The shards lie one after another on the run's clock, as the sessions of a resumed run do. So its
times are sums over all workers, its machine time among them, from which its cost follows; its rates
are those of one worker.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from harness.config.changes import ConfigChange, config_changes, deciding
from harness.config.settings import RunConfig
from harness.engines.identity import unlike
from harness.errors import NotComparableError, StoreError
from harness.machine.energy import Energy
from harness.records import Completion
from harness.runner.shards.draw import asked_ids
from harness.store.fingerprint import fingerprint, of_the_whole
from harness.store.manifest import LostLoad, RunManifest, Session
from harness.store.run_files import Run

log = logging.getLogger(__name__)

SAME_FILES = ("problems.jsonl", "prompts.jsonl")
_SAME_ENGINE = ("name", "device", "device_name", "device_count", "dtype", "quantization")
_CLOCK = ("queued_s", "sent_s", "started_s", "first_token_s", "finished_s")
_SESSION_CLOCK = ("opened_s", "clock_start_s", "clock_end_s")
R = TypeVar("R", Completion, Session, LostLoad)


class Shard(NamedTuple):
    """One worker's part of a run."""

    run: Run
    manifest: RunManifest

    @property
    def number(self) -> int:
        """The shard's number, from 0."""
        assert self.manifest.config.shard is not None
        return self.manifest.config.shard

    @property
    def shown(self) -> str:
        """``shard 3 of 8 (RUN)``."""
        return f"shard {self.manifest.config.shard_name} ({self.run.shown})"


def read_shards(runs: Sequence[Run]) -> list[Shard]:
    """The shards in order, after checking that they form one whole run.

    Raises:
        StoreError: One is no shard, is there twice, is missing or is not finished.
        NotComparableError: They are of different runs; names what differs.
    """
    shards = [Shard(run, run.read_manifest()) for run in runs]
    for shard in shards:
        if shard.manifest.config.shard is None:
            raise StoreError(
                f"{shard.run.shown}: a whole run and no shard; harness merge joins runs that were "
                "made with shards=COUNT shard=NUMBER"
            )
    shards.sort(key=lambda shard: shard.number)
    for other in shards[1:]:
        _check_same_run(shards[0], other)
        _warn_of_versions(shards[0], other)
    _check_all_there(shards)
    for shard in shards:
        _check_whole(shard)
    return shards


def _check_same_run(one: Shard, other: Shard) -> None:
    left, right = _facts(one), _facts(other)
    configs = (_unsharded(shard.manifest.config) for shard in (one, other))
    differing = [change.key for change in deciding(config_changes(*configs))]
    differing += [name for name in left if left[name] != right[name]]
    engines = one.manifest.engine, other.manifest.engine
    if engines[0] is not None and engines[1] is not None:
        differing += [
            f"engine.{each.name}"
            for each in unlike(engines[0], engines[1])
            if not each.is_speed_alone
        ]
    if one.manifest.config.shards != other.manifest.config.shards:
        differing = ["shards", *differing]
    if differing:
        raise NotComparableError(
            f"{one.shown} and {other.shown} are not of one run: they differ in "
            f"{', '.join(differing)}"
        )


def _facts(shard: Shard) -> dict[str, Any]:
    """The facts that must agree in all shards, by name."""
    manifest = shard.manifest
    engine = manifest.engine
    fields = manifest.protocol_fields.items()
    return {
        "model.sha256": manifest.model.sha256,
        "model.revision": manifest.model.revision,
        "template_sha256": manifest.template_sha256,
        "tasks": [task.model_dump(exclude={"origin"}) for task in manifest.tasks],
        "protocol": {task: of_the_whole(each) for task, each in fields},
        "scorers": manifest.scorer_context,
        **{name: _sha256(shard.run.folder / name) for name in SAME_FILES},
        **{f"engine.{name}": getattr(engine, name, None) for name in _SAME_ENGINE},
    }


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{file}: cannot be read: {error.strerror}") from error


def _warn_of_versions(one: Shard, other: Shard) -> None:
    """Warns of different versions, as on resume: sessions record them, figures do not."""
    left, right = (shard.manifest.engine for shard in (one, other))
    if left and right and left.version != right.version:
        log.warning(
            "%s was made with engine version %s, %s with %s",
            *(one.shown, left.version, other.shown, right.version),
        )


def _unsharded(config: RunConfig) -> RunConfig:
    return config.model_copy(update={"shards": 1, "shard": None, "resume": None})


def _check_all_there(shards: Sequence[Shard]) -> None:
    count = shards[0].manifest.config.shards
    for one, other in combinations(shards, 2):
        if one.number == other.number:
            raise StoreError(
                f"shard {one.manifest.config.shard_name} is there twice: "
                f"{one.run.shown} and {other.run.shown}; leave one out"
            )
    missing = sorted(set(range(count)) - {shard.number for shard in shards})
    if missing:
        names = ", ".join(map(str, missing))
        verb = "shard {} of {} is" if len(missing) == 1 else "shards {} of {} are"
        raise StoreError(f"{verb.format(names, count)} missing; name all {count} shards of the run")


def _check_whole(shard: Shard) -> None:
    """Checks that every request of this shard is answered and graded, and no other."""
    if shard.manifest.status != "complete":
        raise StoreError(
            f"{shard.shown} is {shard.manifest.status}; harness run resume={shard.run.shown} "
            "finishes it"
        )
    asked = asked_ids(shard.run.read_prompts(), shard.manifest.config)
    answered = {completion.request_id for completion in shard.run.read_completions()}
    graded = shard.run.read_verdicts().keys()
    for name, ids in (("completions", answered), ("verdicts", graded)):
        if missing := sorted(asked - ids):
            raise StoreError(
                f"{shard.shown}: {name}.jsonl lacks {len(missing)} of {len(asked)} requests, "
                f"{missing[0]} among them; copy its folder anew"
            )
        if strange := sorted(ids - asked):
            raise StoreError(f"{shard.shown}: {name}.jsonl has {strange[0]}, which is not its own")


def copy_into(run: Run, shards: Sequence[Shard]) -> RunManifest:
    """Writes the files of the whole run, except its result, one line at a time.

    Args:
        run: Its folder, new.
        shards: As ``read_shards`` gave them.

    Returns:
        The manifest of the whole.
    """
    first = shards[0]
    run.write_problems(list(first.run.read_problems().values()))
    run.write_prompts(list(first.run.read_prompts().values()))
    sessions: list[Session] = []
    lost_loads: list[LostLoad] = []
    offset_s = 0.0
    for shard in shards:
        end_s = offset_s
        for completion in _shifted(shard.run.read_attempts(), offset_s):
            run.completions.append(completion)
            end_s = max(end_s, completion.finished_s or 0.0)
        for verdict in shard.run.read_verdicts().values():
            run.verdicts.append(verdict)
        if first.manifest.config.engine.recording is not None:
            sessions = list(first.manifest.sessions)
            lost_loads = list(first.manifest.lost_loads)
            continue  # a recording has one clock, whoever replays which part of it
        own = _with_own_energy(shard, shards)
        moved = [_moved(each, _SESSION_CLOCK, offset_s) for each in own]
        lost = [_moved(each, _SESSION_CLOCK, offset_s) for each in shard.manifest.lost_loads]
        sessions += moved
        lost_loads += lost
        ends = [each.clock_end_s for each in moved] + [each.clock_end_s for each in lost]
        offset_s = max([end_s, *(each for each in ends if each is not None)])
    run.completions.close()
    run.verdicts.close()
    return _manifest(run, shards, sessions, lost_loads)


def _shifted(completions: Iterator[Completion], offset_s: float) -> Iterator[Completion]:
    for completion in completions:
        yield _moved(completion, _CLOCK, offset_s)


def _moved(record: R, clock: Sequence[str], offset_s: float) -> R:
    """A record with its times shifted."""
    times = {name: getattr(record, name, None) for name in clock}
    moved = {name: time + offset_s for name, time in times.items() if time is not None}
    return record.model_copy(update=moved)


def _manifest(
    run: Run,
    shards: Sequence[Shard],
    sessions: Sequence[Session],
    lost_loads: Sequence[LostLoad],
) -> RunManifest:
    first = shards[0].manifest
    fields = {task: of_the_whole(each) for task, each in first.protocol_fields.items()}
    ends = [end for shard in shards if (end := shard.manifest.finished_at) is not None]
    return first.model_copy(
        update={
            "run_id": run.run_id,
            "status": "complete",
            "config": _unsharded(first.config),
            "config_changes": tuple(_all_changes(shards)),
            "complete_after": tuple(
                before + count
                for before, shard in _with_sessions_before(shards)
                for count in shard.manifest.complete_after
            ),
            "protocol_fields": fields,
            "protocol_fingerprints": {task: fingerprint(each) for task, each in fields.items()},
            "sessions": tuple(sessions),
            "lost_loads": tuple(lost_loads),
            "started_at": min(shard.manifest.started_at for shard in shards),
            "finished_at": max(ends, default=None),
            "error": None,
            "expected": None,  # each worker's forecast was for its part only
            "merged_from": tuple(shard.run.run_id for shard in shards),
        }
    )


def _all_changes(shards: Sequence[Shard]) -> Iterator[ConfigChange]:
    """The changes of every shard; its sessions follow those of the shards before it."""
    for before, shard in _with_sessions_before(shards):
        for change in shard.manifest.config_changes:
            sessions = before + change.sessions_before
            yield change.model_copy(update={"sessions_before": sessions})


def _with_sessions_before(shards: Sequence[Shard]) -> Iterator[tuple[int, Shard]]:
    before = 0
    for shard in shards:
        yield before, shard
        before += len(shard.manifest.sessions)


def _with_own_energy(shard: Shard, shards: Sequence[Shard]) -> Iterator[Session]:
    """The sessions of a shard, without the energy of a processor that others used too.

    RAPL counts whole packages, so two workers on one machine would each count both.

    RAPL counts whole packages, so that two workers on one machine would each have counted both.
    """
    others = [other for other in shards if other is not shard and _at_once(shard, other)]
    for session in shard.manifest.sessions:
        host = session.provenance.host
        hosts = {each.provenance.host for other in others for each in other.manifest.sessions}
        if host in hosts and "RAPL" in (session.energy_source or ""):
            unknown = Energy(
                None, "workers shared a processor, whose counters tell none of them apart"
            )
            yield session.model_copy(
                update={"energy_joules": None, "energy_source": unknown.described}
            )
        else:
            yield session


def _at_once(one: Shard, other: Shard) -> bool:
    (begun, ended), (other_begun, other_ended) = _span(one), _span(other)
    return begun < other_ended and other_begun < ended


def _span(shard: Shard) -> tuple[datetime, datetime]:
    begun, ended = shard.manifest.started_at, shard.manifest.finished_at
    return begun, begun if ended is None else ended
