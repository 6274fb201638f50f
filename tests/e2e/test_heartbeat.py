"""What a killed session used of the machine is in the run's machine time, and in its cost."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Harness, Hold, last_line, manifest, records, stop, tiny_run

ALIVE_S = 3300.0
"""When the last beat is made to have been: a real kill in the run's 55th minute takes too long."""


def kill_at(hold: Hold, results: Path, place: str, *arguments: str) -> Path:
    """A run that was killed there, with its last beat at ``ALIVE_S``; its folder."""
    process, _ = hold(results, place, *arguments)
    code, _ = stop(process, signal.SIGKILL)
    assert code == -signal.SIGKILL
    (file,) = results.glob("runs/*/heartbeat.json")
    beat = json.loads(file.read_text())
    assert beat["alive_s"] < ALIVE_S
    file.write_text(json.dumps({**beat, "alive_s": ALIVE_S}))
    return file.parent


def estimates(folder: Path) -> dict[str, dict[str, Any]]:
    result = json.loads((folder / "result.json").read_text())
    return {each["metric"]: each for each in result["estimates"] if each["task"] is None}


@pytest.mark.parametrize("place", ["manifest.json:2", "completions.jsonl:1"])
def test_a_session_that_was_killed_is_paid_for_up_to_its_last_beat(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold, place: str
) -> None:
    """Once it had answered nothing, once one request: what came to nothing was paid for too."""
    folder = kill_at(hold, tmp_path, place, *tiny_run(tiny_model))
    before = len(records(folder, "completions")) if place.startswith("completions") else 0
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 0, done.stderr
    killed, whole = manifest(folder)["sessions"]
    assert (killed["clock_end_s"], killed["is_end_known"]) == (ALIVE_S, False)
    assert whole["is_end_known"]
    assert whole["opened_s"] >= ALIVE_S, "the clock went back"
    for each in records(folder, "completions")[before:]:
        assert each["queued_s"] >= whole["clock_start_s"] >= ALIVE_S
    spans = [each["clock_end_s"] - each["clock_start_s"] for each in (killed, whole)]
    found = estimates(folder)
    assert found["machine_s"]["value"] == pytest.approx(sum(spans))
    assert found["machine_s"]["value"] > found["generation_s"]["value"]
    pricing = json.loads((folder / "result.json").read_text())["pricing"]["rented"]
    count = whole["engine"]["device_count"] if pricing["unit"] == "vcpu" else 1
    usd = pricing["usd_per_hour"] * count * sum(spans) / 3600
    assert found["cost.rented"]["value"] == pytest.approx(usd)
    for metric in ("machine_s", "cost.rented", "usd_per_million_output_tokens.rented"):
        assert found[metric]["bound"] == "lower"
    assert found["solved_per_hour"]["bound"] in {"upper", None}  # None: nothing was solved
    assert found["energy_joules"]["value"] is None, "a killed session's energy is unknown"
    assert not (folder / "heartbeat.json").exists(), "it is in the manifest now"
    assert harness("validate", folder.name).returncode == 0


def test_a_load_that_was_killed_is_in_the_cost_of_loading(
    tiny_model: Path, tmp_path: Path, harness: Harness, hold: Hold
) -> None:
    folder = kill_at(hold, tmp_path, "heartbeat.json:1", *tiny_run(tiny_model))
    done = harness("run", f"resume={folder.name}")
    assert done.returncode == 0, done.stderr
    (lost,) = manifest(folder)["lost_loads"]
    assert (lost["clock_end_s"], lost["is_end_known"]) == (ALIVE_S, False)
    (session,) = manifest(folder)["sessions"]
    assert session["opened_s"] >= ALIVE_S
    found = estimates(folder)
    assert found["load_cost.rented"]["bound"] == "lower"
    assert found["machine_s"]["bound"] is None, "generation itself was not killed"
    loaded = session["clock_start_s"] - session["opened_s"]
    assert found["machine_s"]["value"] < loaded + ALIVE_S


def test_all_that_an_undisturbed_run_used_is_known(
    tiny_model: Path, tmp_path: Path, harness: Harness
) -> None:
    done = harness(*tiny_run(tiny_model))
    assert done.returncode == 0, done.stderr
    folder = Path(last_line(done)["path"])
    (session,) = manifest(folder)["sessions"]
    assert session["is_end_known"]
    assert 0 <= session["opened_s"] <= session["clock_start_s"] <= session["clock_end_s"]
    assert manifest(folder)["lost_loads"] == []
    found = estimates(folder)
    assert found["machine_s"]["bound"] is found["cost.rented"]["bound"] is None
    assert found["machine_s"]["value"] >= found["generation_s"]["value"]
    assert not (folder / "heartbeat.json").exists()
