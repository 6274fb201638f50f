"""Machine time from what is on record of a run's sessions."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.engines.replay_engine import ReplayConfig
from harness.metrics.machine_use import machine_use
from harness.records import Completion, RequestId, Sample, Verdict
from harness.store import heartbeat
from harness.store.heartbeat import FILE, Heartbeat, beating, forget, last_beat
from harness.store.killed_sessions import last_moment_s, settled
from harness.store.manifest import LostLoad, RunManifest, Session
from harness.store.run_files import Run
from harness.store.shard_deal import dealt
from tests.facts import known

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"
BEGAN = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def whole() -> RunManifest:
    return Run(GOLDEN).read_manifest()


def session(whole: RunManifest, number: int, opened_s: float, **changes: Any) -> Session:
    """One that loaded for 10 s."""
    fields = {
        "started_at": BEGAN + timedelta(hours=number),
        "opened_s": opened_s,
        "clock_start_s": opened_s + 10,
        "clock_end_s": None,
        "is_end_known": False,
    }
    return whole.sessions[0].model_copy(update=fields | changes)


def answer(number: int, of_session: int, start_s: float, finish_s: float) -> Sample:
    request_id = f"math/{number}#0"
    return Sample(
        task="math",
        problem_id=f"math/{number}",
        index=0,
        session=of_session,
        completion=Completion(
            request_id=request_id,
            text="",
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=1,
            reasoning_tokens=None,
            queued_s=start_s,
            started_s=start_s,
            first_token_s=start_s,
            finished_s=finish_s,
        ),
        verdict=Verdict(request_id=request_id, status="correct", scorer="s@1", wall_s=0.0),
    )


def test_one_answer_at_600_s_a_kill_at_3300_s_and_an_hour_more(
    whole: RunManifest, tmp_path: Path
) -> None:
    killed = session(whole, 0, 0.0, clock_start_s=0.0)
    manifest = whole.model_copy(update={"sessions": (killed,)})
    beat = Heartbeat(started_at=killed.started_at, opened_s=0.0, alive_s=3300.0)
    (tmp_path / FILE).write_text(beat.model_dump_json())
    manifest = settled(tmp_path, manifest)
    assert last_moment_s(manifest) == 3300.0
    second = session(whole, 1, 3300.0, clock_start_s=3300.0, clock_end_s=6900.0, is_end_known=True)
    manifest = manifest.model_copy(update={"sessions": (*manifest.sessions, second)})
    samples = [answer(0, 0, 0.0, 600.0), answer(1, 1, 3300.0, 6900.0)]
    used = machine_use(manifest, samples).generating
    assert (used.seconds, used.is_lower_bound) == (6900.0, True)


def test_a_session_in_which_nothing_finished_costs_what_its_beats_show(whole: RunManifest) -> None:
    sessions = (
        session(whole, 0, 0.0, clock_end_s=500.0),
        session(whole, 1, 500.0, clock_end_s=600.0, is_end_known=True),
    )
    manifest = whole.model_copy(update={"sessions": sessions})
    used = machine_use(manifest, [answer(0, 1, 510.0, 590.0)])
    assert used.generating.seconds == 490.0 + 90.0
    assert used.loading.seconds == 20.0


def test_an_older_session_counts_to_its_last_answer_and_is_a_lower_bound(
    whole: RunManifest,
) -> None:
    manifest = whole.model_copy(update={"sessions": (session(whole, 0, 0.0),)})
    used = machine_use(manifest, [answer(0, 0, 12.0, 70.0)]).generating
    assert (used.seconds, used.is_lower_bound) == (60.0, True)


def test_sessions_that_ended_in_order_are_whole_and_no_longer_than_the_clock(
    whole: RunManifest,
) -> None:
    sessions = tuple(
        session(whole, n, 100.0 * n, clock_end_s=100.0 * (n + 1), is_end_known=True)
        for n in range(5)
    )
    manifest = whole.model_copy(update={"sessions": sessions})
    used = machine_use(manifest, [])
    assert (used.generating.seconds, used.generating.is_lower_bound) == (450.0, False)
    assert known(used.generating.seconds) + known(used.loading.seconds) <= last_moment_s(manifest)


def test_of_a_resumed_run_the_last_session_alone_lost_no_answer(whole: RunManifest) -> None:
    sessions = tuple(session(whole, n, 100.0 * n, clock_end_s=100.0 * n + 90) for n in range(3))
    manifest = whole.model_copy(update={"sessions": sessions})
    samples = [answer(n, n, 100.0 * n, 100.0 * n + 50) for n in range(3)]
    assert machine_use(manifest, samples).whole_sessions == frozenset({2})


def test_of_a_merged_run_each_workers_last_session_lost_no_answer(whole: RunManifest) -> None:
    """The first worker was resumed once, the second one never: sessions 1 and 2 are whole."""
    first, second = dealt([RequestId(f"math/{n}#0") for n in range(9)], 2)
    numbers = {each: int(each.removeprefix("math/").removesuffix("#0")) for each in first | second}
    samples = [
        *(answer(numbers[each], n > 0, 0.0, 9.0) for n, each in enumerate(sorted(first))),
        *(answer(numbers[each], 2, 0.0, 9.0) for each in second),
    ]
    sessions = tuple(session(whole, n, 100.0 * n, clock_end_s=100.0 * n + 90) for n in range(3))
    manifest = whole.model_copy(update={"sessions": sessions, "merged_from": ("one", "other")})
    assert machine_use(manifest, samples).whole_sessions == frozenset({1, 2})
    replay = ReplayConfig(kind="replay", run="a recording")
    config = manifest.config.model_copy(update={"engine": replay})
    replayed = manifest.model_copy(update={"config": config})
    assert machine_use(replayed, samples).whole_sessions == frozenset({2}), (
        "they share its sessions"
    )


def test_a_replay_of_a_part_is_not_billed_for_the_whole_recording(whole: RunManifest) -> None:
    ended = session(whole, 0, 0.0, clock_end_s=3600.0, is_end_known=True, energy_joules=9e5)
    manifest = whole.model_copy(update={"sessions": (ended,), "is_part_of_recording": True})
    used = machine_use(manifest, [answer(0, 0, 12.0, 3600.0)])
    assert (used.generating.seconds, used.generating.is_lower_bound) == (None, False)
    assert used.energy.joules is None
    assert used.whole_sessions == frozenset()
    assert used.loading.seconds == 10.0, "a part needs the engine as loaded as the whole"


def test_a_beat_without_a_session_is_a_load_that_came_to_nothing(
    whole: RunManifest, tmp_path: Path
) -> None:
    beat = Heartbeat(started_at=BEGAN, opened_s=5.0, alive_s=65.0)
    (tmp_path / FILE).write_text(beat.model_dump_json())
    manifest = settled(tmp_path, whole.model_copy(update={"sessions": ()}))
    lost = LostLoad(started_at=BEGAN, opened_s=5.0, clock_end_s=65.0, is_end_known=False)
    assert manifest.lost_loads == (lost,)
    assert settled(tmp_path, manifest) is manifest, "asked again it counts once"
    loading = machine_use(manifest, []).loading
    assert (loading.seconds, loading.is_lower_bound) == (60.0, True)


def test_what_is_on_record_is_not_changed_by_a_beat_that_was_left(
    whole: RunManifest, tmp_path: Path
) -> None:
    ended = session(whole, 0, 0.0, clock_end_s=90.0, is_end_known=True)
    manifest = whole.model_copy(update={"sessions": (ended,)})
    beat = Heartbeat(started_at=ended.started_at, opened_s=0.0, alive_s=80.0)
    (tmp_path / FILE).write_text(beat.model_dump_json())
    assert settled(tmp_path, manifest).sessions == (ended,)
    assert settled(GOLDEN, whole) is whole


def test_a_beat_that_cannot_be_read_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_text("{")
    with caplog.at_level(logging.WARNING):
        assert last_beat(tmp_path) is None
    assert FILE in caplog.text


def test_it_beats_again_and_again_while_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.001)
    ticks = iter(range(1_000_000))
    late = threading.Event()

    def now() -> float:
        tick = next(ticks)
        if tick == 5:
            late.set()
        return float(tick)

    with beating(tmp_path, now, BEGAN) as first:
        assert late.wait(60), "it stopped beating"
    last = last_beat(tmp_path)
    assert last is not None
    assert (first.opened_s, first.alive_s) == (0.0, 0.0)
    assert (last.started_at, last.opened_s) == (first.started_at, 0.0)
    assert last.alive_s >= 4
    (tmp_path / f".{FILE}.1.new").touch()
    forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
