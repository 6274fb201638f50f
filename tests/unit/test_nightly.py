"""What is kept of nights, when one is worse, what is cleared up, and the examples."""

import configparser
import json
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.analysis.nightly.change_points import change_points
from harness.analysis.nightly.history import History, series, steps
from harness.analysis.nightly.jobs import jobs_of
from harness.analysis.nightly.judge import (
    SHARES_ALPHA,
    Rules,
    compare_nights,
    largest_ordinary_share,
)
from harness.analysis.nightly.record import Night, NightFigure
from harness.analysis.nightly.retention import prune
from harness.cli import main as cli
from harness.cli.nightly import _clear_up, _Tonight
from harness.errors import StoreError
from tests.conftest import REPOSITORY
from tests.facts import mentions
from tests.unit.nights import SETTING, VERSIONS, crashed_night, made_up_night, regression

EXAMPLES = REPOSITORY / "examples" / "nightly"
GOLDEN = REPOSITORY / "tests" / "golden" / "runs" / "smollm2_demo"


# --- the history ------------------------------------------------------------------------------


def test_a_line_that_a_power_cut_tore_is_no_night_and_swallows_none(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    assert history.read() == []
    nights = [made_up_night(0), crashed_night(1), made_up_night(2)]
    for night in nights[:2]:
        history.append(night)
    with history.file.open("ab") as stream:
        stream.write(nights[2].model_dump_json().encode()[:200])
    assert history.read() == nights[:2]
    history.append(nights[2])
    assert history.read() == nights


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append(made_up_night(0))
    with history.file.open("a") as stream:
        stream.write('{"night": "yesterday"}\n')
    with pytest.raises(StoreError, match=r"history\.jsonl:2: .*night: "):
        history.read()


def test_only_nights_of_one_setting_are_compared() -> None:
    other = {**SETTING, "engine.version": "0.31.0"}
    before = [made_up_night(n, setting=other if n == 3 else SETTING) for n in range(9)]
    before += [crashed_night(9), made_up_night(10, label="another")]
    tonight = made_up_night(11)
    assert [night.night.day for night in series(before, tonight, 4)] == [6, 7, 8, 9]
    assert series(before, made_up_night(11, setting={}), 4) == []
    assert series(before, made_up_night(1), 4) == [before[0], before[1]], "later nights count"


def test_a_setting_that_one_night_does_not_tell_neither_ends_a_series_nor_is_a_change() -> None:
    told = {**SETTING, "engine.settings.block_size": "16"}
    nights = [made_up_night(n, setting=SETTING if n == 1 else told) for n in range(3)]
    assert series(nights, made_up_night(3, setting=told), 4) == nights
    assert [step.setting for step in steps(nights)] == [[], [], []]
    other = {**SETTING, "engine.settings.block_size": "32"}
    assert series(nights, made_up_night(3, setting=other), 4) == [nights[1]]


def test_what_changed_is_told_against_the_last_night_with_a_result() -> None:
    newer = {**VERSIONS, "driver": "575.51"}
    nights = [
        made_up_night(0),
        crashed_night(1),
        made_up_night(2, versions=newer),
        made_up_night(3, versions=newer, setting={**SETTING, "weights": "def"}),
    ]
    told = [[str(each) for each in (*step.setting, *step.versions)] for step in steps(nights)]
    assert told == [[], [], ["driver 570.86 -> 575.51"], ["weights abc -> def"]]


# --- worse or not -----------------------------------------------------------------------------


def worse(tonight: Night, before: Sequence[Night], tmp_path: Path, **rules: Any) -> dict[str, bool]:
    found = compare_nights(tonight, tmp_path / "none", before, Rules(**rules), tmp_path)
    return {finding.figure: finding.is_regression for finding in found}


@pytest.mark.parametrize(
    ("figure", "change", "is_worse"),
    [
        ("output_tokens_per_s", {"speed": 2750.0}, False),
        ("output_tokens_per_s", {"speed": 2650.0}, True),
        ("output_tokens_per_s", {"speed": 9000.0}, False),
        ("cost_per_solved.rented", {"cost": 0.0021}, False),
        ("cost_per_solved.rented", {"cost": 0.0023}, True),
        ("math500/completion_tokens.mean", {"tokens": 3900.0}, True),
        ("math500/share.truncated", {"truncated": 0.08}, False),  # 100 answers: chance
        ("math500/share.truncated", {"truncated": 0.12}, True),
        ("math500/share.errors", {"errors": 0.02}, False),
        ("math500/share.errors", {"errors": 0.03}, True),
    ],
)
def test_beyond_tolerance_and_chance_is_worse(
    tmp_path: Path, figure: str, change: dict[str, float], is_worse: bool
) -> None:
    before = [made_up_night(n) for n in range(7)]
    found = worse(made_up_night(7, **change), before, tmp_path)
    assert found.pop(figure) is is_worse
    assert not any(found.values())


@pytest.mark.parametrize("p", [0.002, 0.02, 0.1, 0.4])
@pytest.mark.parametrize(("n", "nights"), [(20, 3), (20, 7), (50, 7), (328, 7)])
def test_shares_raise_a_false_alarm_on_one_night_in_a_hundred_at_most(
    n: int, nights: int, p: float
) -> None:
    rng = np.random.default_rng([n, nights])
    before, tonight = rng.binomial(n, p, (20_000, nights)), rng.binomial(n, p, 20_000)
    limits = {}
    for counts in before:
        if (total := int(counts.sum())) not in limits:
            past = [share_of(int(count), n) for count in counts]
            limits[total] = largest_ordinary_share(n, past, SHARES_ALPHA / 4)
    limit = np.array([limits[int(counts.sum())] for counts in before])
    assert 4 * np.mean(tonight / n > limit) <= 0.01  # two tasks: four shares


def share_of(count: int, n: int) -> NightFigure:
    return NightFigure(metric="share.errors", task="math500", unit="fraction", value=count / n, n=n)


def test_where_nights_differ_much_more_must_happen(tmp_path: Path) -> None:
    speeds = [3000.0, 2500.0, 3500.0, 2700.0, 3300.0, 3000.0, 3100.0]
    before = [made_up_night(n, speed=speed) for n, speed in enumerate(speeds)]
    assert not worse(made_up_night(7, speed=2000.0), before, tmp_path)["output_tokens_per_s"]
    assert worse(made_up_night(7, speed=1000.0), before, tmp_path)["output_tokens_per_s"]


def test_two_nights_are_no_median_and_an_unknown_figure_is_not_compared(tmp_path: Path) -> None:
    before = [made_up_night(n) for n in range(7)]
    assert worse(made_up_night(7, speed=1.0), before[:2], tmp_path) == {}
    assert "cost_per_solved.rented" not in worse(made_up_night(7, cost=None), before, tmp_path)


@pytest.mark.parametrize("is_whole", [False, None])
def test_a_cost_that_leaves_out_killed_sessions_is_in_no_median(
    tmp_path: Path, is_whole: bool | None
) -> None:
    """None: a line of an older version, which never counted them."""
    before = [made_up_night(n) for n in range(7)]
    older = [
        night.model_copy(
            update={
                "figures": tuple(
                    each.model_copy(update={"is_whole": is_whole}) for each in night.figures
                )
            }
        )
        for night in before
    ]
    cost = "cost_per_solved.rented"
    tonight = made_up_night(7, cost=0.0023)
    assert worse(tonight, before, tmp_path)[cost]
    assert cost not in worse(tonight, older, tmp_path)
    assert "output_tokens_per_s" in worse(tonight, older, tmp_path)


def test_a_night_whose_result_is_damaged_stops_no_other_comparison(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = [made_up_night(n) for n in range(7)]
    for night in before:
        folder = tmp_path / "runs" / str(night.run_id)
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
    assert worse(made_up_night(7, speed=1000.0), before, tmp_path)["output_tokens_per_s"]
    assert len(caplog.records) == 7
    assert caplog.messages[0].startswith(f"{tmp_path}/runs/run-r1_distill_qwen_7b-")
    assert len(set(caplog.messages)) == 7


def test_nights_that_differ_by_chance_alone_are_left_in_peace(tmp_path: Path) -> None:
    """Speed with a standard deviation of 3 %: docs/nightly.md says 0.1 % of nights."""
    chance = random.Random(11)
    speeds = [3000 * chance.gauss(1, 0.03) for _ in range(1500)]
    nights = [made_up_night(0, speed=speed) for speed in speeds]
    alarms = sum(
        worse(nights[n], nights[n - 7 : n], tmp_path)["output_tokens_per_s"] for n in range(7, 1500)
    )
    assert alarms <= 5


def test_a_regression_outranks_errors() -> None:
    found = (regression("output_tokens_per_s", 2000.0, 3000.0),)
    assert made_up_night(0).night_exit_status == 0
    assert made_up_night(0, exit_status=4, error="12 of 40 truncated").night_exit_status == 4
    assert crashed_night(0).night_exit_status == 4
    assert made_up_night(0, findings=found, exit_status=4, error="and so on").night_exit_status == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nights", "2"], "--nights 2: … 3"),
        (["--margin", "-1"], "--margin -1: … 0 to below 100"),
        (["--speed-tolerance", "nan"], "--speed-tolerance nan: … 0 to below 100"),
        (["--keep", "0"], "--keep 0: … 1"),
        (["--max-hours", "0"], "--max-hours 0: … 0"),
        (["--date", "today"], "--date today: … 2026-11-22"),
        (["model=nobody"], "model=nobody: … r1_distill_qwen_7b"),
        (["results_dir=/x"], "results_dir=/x: … --results-dir"),
        (["resume=auto"], "resume=auto: "),
        (["protocol.no=1"], "protocol.no: "),
        (["protocol.top_p=2"], "protocol.top_p=2: "),
        (["model=r1_distill_qwen_7b,r1_distill_qwen_7b"], "r1_distill_qwen_7b … two"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert cli.main(["nightly", "--results-dir", str(tmp_path), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert mentions(line, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "override",
    [
        "model=nobody",
        "protocol.no=1",
        "protocol.top_p=2",
        "protocol.top_p=",
        "engine={",
        "engine.args.token=hf_0123456789abcdefghijklmnopqrstuvwx",
    ],
)
def test_a_wrong_override_reads_the_same_in_a_run_and_in_a_night(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str
) -> None:
    assert cli.main(["run", "--dry-run", override]) == 2
    of_run = capsys.readouterr().err
    assert cli.main(["nightly", "--results-dir", str(tmp_path), override]) == 2
    assert capsys.readouterr().err == of_run


# --- where a level changed --------------------------------------------------------------------


@pytest.mark.parametrize("place", [6, 15, 24])
def test_a_level_that_changed_is_found_where_it_changed(place: int) -> None:
    chance = random.Random(place)
    values = [chance.gauss(3000 if n < place else 2500, 60) for n in range(30)]
    assert change_points(values) == [place]


def test_two_changes_are_two() -> None:
    values = [10.0, 11.0] * 5 + [20.0, 21.0] * 5 + [10.0, 11.0] * 5
    assert change_points(values) == [10, 20]


def test_an_odd_night_two_of_them_or_a_week_are_no_new_level() -> None:
    assert change_points([5.0, 5.1] * 8 + [0.1] + [5.0, 5.1] * 8) == []
    assert change_points([5.0, 5.1] * 8 + [0.1, 0.2] + [5.0, 5.1] * 8) == []
    assert change_points([5.0, 5.1, 5.0, 4.9, 1.0, 1.1, 1.0]) == []
    assert change_points([5.0] * 40) == []
    assert change_points([]) == []


def test_without_a_change_hardly_any_series_is_split() -> None:
    chance = random.Random(5)
    split = sum(bool(change_points([chance.gauss(0, 1) for _ in range(20)])) for _ in range(200))
    assert split <= 6  # 1 % of 200 are 2; more than 6 happens once in 200 times


# --- what a night runs ------------------------------------------------------------------------


def test_the_experiment_says_which_models_and_the_command_line_which_of_them() -> None:
    both = jobs_of([])
    assert [job.label for job in both] == ["r1_distill_qwen_1_5b", "r1_distill_qwen_7b"]
    (one,) = jobs_of(["model=r1_distill_qwen_7b", "seed=3"])
    assert (one.label, one.config.seed) == ("r1_distill_qwen_7b", 3)
    assert one.config.requires is not None
    others = jobs_of(["experiment=demo", "model=smollm2_135m", "seed=1,2"])
    assert [job.label for job in others] == [
        "smollm2_135m (demo, seed=1)",
        "smollm2_135m (demo, seed=2)",
    ]
    assert [job.config.seed for job in others] == [1, 2]


# --- clearing up ------------------------------------------------------------------------------


def make_folder(results: Path, run_id: str, *, is_finished: bool = True) -> Path:
    folder = results / "runs" / run_id
    shutil.copytree(GOLDEN, folder)
    file = folder / "manifest.json"
    file.write_text(
        re.sub(r'"run_id": ?"[^"]*"', f'"run_id": "{run_id}"', file.read_text(), count=1)
    )
    (folder / "report").mkdir()
    (folder / "report" / "report.html").touch()
    if is_finished:
        (folder / "result.json").write_text("{}")
    return folder


def test_old_nights_keep_their_result_and_nobody_elses_run_is_touched(tmp_path: Path) -> None:
    (tmp_path / "nightly" / "logs").mkdir(parents=True)
    old, crashed, spared, new = (
        made_up_night(0, run_id="old", log="old.log"),
        crashed_night(1, run_id="crashed"),
        made_up_night(1, run_id="spared"),
        made_up_night(3, run_id="new", log="new.log"),
    )
    foreign = made_up_night(0, run_id="../elsewhere", log="../../keep.log")
    renamed = made_up_night(0, run_id="renamed")
    for name in ("old", "spared", "new", "users"):
        make_folder(tmp_path, name)
    make_folder(tmp_path, "crashed", is_finished=False)
    shutil.move(make_folder(tmp_path, "another"), tmp_path / "runs" / "renamed")
    shutil.copytree(tmp_path / "runs" / "users", tmp_path / "elsewhere")
    for name in ("nightly/logs/old.log", "nightly/logs/new.log", "keep.log"):
        (tmp_path / name).touch()
    nights = [old, foreign, renamed, crashed, spared, new]
    assert prune(nights, 3, tmp_path, ()) == [], "there are three nights"
    assert prune(nights, 1, tmp_path, {"spared"}) == ["old", "crashed"]
    left = {path.name: {f.name for f in path.iterdir()} for path in (tmp_path / "runs").iterdir()}
    whole = {"report", "result.json", *(file.name for file in GOLDEN.iterdir())}
    assert left.pop("old") == {"result.json", "manifest.json"}
    assert left.keys() == {"spared", "new", "users", "renamed"}
    assert all(whole <= files for files in left.values())
    assert (tmp_path / "elsewhere" / "completions.jsonl").is_file()
    assert not (tmp_path / "nightly" / "logs" / "old.log").exists()
    assert (tmp_path / "nightly" / "logs" / "new.log").is_file()
    assert (tmp_path / "keep.log").is_file()
    assert prune(nights, 1, tmp_path, {"spared"}) == []


def test_a_merged_run_goes_with_the_texts_of_its_shards(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "merged")
    make_folder(tmp_path, "shard", is_finished=False)
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"merged_from": ["shard"]}))
    nights = [made_up_night(0, run_id="merged"), made_up_night(1)]
    assert prune(nights, 1, tmp_path, ()) == ["merged"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["merged"]


def test_what_cannot_be_removed_changes_no_verdict(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "nightly" / "logs" / "old.log").mkdir(parents=True)
    old, new = made_up_night(0, log="old.log"), made_up_night(1)
    tonight = _Tonight(
        night=new.night, results_dir=tmp_path, rules=Rules(), limit_s=1.0, named=(), kept=()
    )
    _clear_up([old, new], 1, tonight)
    assert "logs/old.log: " in caplog.text


# --- the examples -----------------------------------------------------------------------------


def test_the_crontab_has_lines_that_cron_takes() -> None:
    lines = (EXAMPLES / "crontab").read_text().splitlines()
    jobs = [line for line in lines if line and not line.startswith("#") and "=" not in line[:12]]
    assert len(jobs) == 1
    *when, command = jobs[0].split(maxsplit=5)
    assert when == ["0", "2", "*", "*", "*"]
    assert command.endswith("scripts/nightly")
    for line in lines:  # a percent sign ends a command in a crontab
        assert not re.search(r"(?<!\\)%", line)


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    units = [EXAMPLES / f"gegenprobe-nightly.{kind}" for kind in ("service", "timer")]
    for unit in units:
        parsed = configparser.ConfigParser(strict=False, interpolation=None)
        parsed.optionxform = str  # type: ignore[assignment,method-assign]
        parsed.read(unit)
        assert "Unit" in parsed
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "verify", *map(str, units)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path)},
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_bash_takes_the_scripts() -> None:
    for script in (EXAMPLES / "nightly.sbatch", REPOSITORY / "scripts" / "nightly"):
        subprocess.run(["bash", "-n", str(script)], check=True)
    text = (EXAMPLES / "nightly.sbatch").read_text()
    first_command = text.index("set -euo")
    assert text.rindex("#SBATCH") < first_command, "sbatch reads no options behind a command"


def test_the_workflow_runs_on_a_runner_with_a_gpu_and_never_twice_at_once() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())
    assert workflow[True]["schedule"] == [{"cron": "0 2 * * *"}]  # YAML 1.1 reads `on` as true
    (job,) = workflow["jobs"].values()
    assert job["runs-on"] == ["self-hosted", "gpu"]
    assert workflow["concurrency"]["cancel-in-progress"] is False
    assert any(step.get("run") == "scripts/nightly" for step in job["steps"])
    assert (job["steps"][0]["with"]["clean"]) is False, "the history would be swept away"
