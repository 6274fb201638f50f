"""Asking a run's requests again, as a user does: what is kept, what is refused."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.analysis.rerun.document import RerunReport
from tests.e2e.conftest import GOLDEN, Harness, manifest, records, start, tiny_run
from tests.facts import mentions


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, 6 requests two at a time, that tests copy."""
    process = start(
        tmp_path_factory.mktemp("made"),
        *tiny_run(
            tiny_model,
            "tasks=[humaneval:3,math_mini:3]",
            "protocol.max_new_tokens=32",
            "protocol.temperature=1",
        ),
    )
    out, err = process.communicate()
    assert process.returncode == 0, err
    return Path(json.loads(out.splitlines()[-1])["path"])


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "runs" / made.name)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def edit_manifest(run: Path, **changes: object) -> None:
    file = run / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stdout == ""
    return done.stderr.splitlines()[-1].removeprefix("harness: ")


# --- what it does -----------------------------------------------------------------------------


def test_a_repetition_is_kept_beside_a_run_that_stays_as_it_was(
    run: Path, harness: Harness
) -> None:
    before = contents(run)
    done = harness("rerun", str(run), "--n", "4", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    file = Path(said.pop("path"))
    after = contents(run)
    assert after.keys() - before.keys() == {str(file.relative_to(run))}
    assert {name: after[name] for name in before} == before

    report = RerunReport.model_validate_json(file.read_bytes())
    assert report.model_dump(mode="json", exclude={"completions", "verdicts"}) == said
    assert (report.batch_size_before, report.batch_size_after) == (2, 1)
    assert (report.at_once_before, report.at_once_after) == (2, 1)
    # The checkout's own state is not the repetition's: somebody may be at work in it.
    assert not [fact for fact in report.facts if fact.differs and fact.name != "git commit"]
    assert report.notes == ()
    was = {each["request_id"]: each for each in records(run, "completions")}
    assert len(report.completions) == len(report.verdicts) == 4
    for pair, completion in zip(report.pairs, report.completions, strict=True):
        old = was[completion.request_id]
        assert completion.prompt_tokens == old["prompt_tokens"]
        assert (pair.first_difference is None) == (completion.text == old["text"])
    # With seeds of its own each text would be another: all of the vocabulary is nearly as likely.
    assert said["figures"][0]["texts_same"] >= 3
    assert said["figures"][0]["texts_different"] + said["figures"][0]["texts_same"] == 4
    assert harness("validate", str(run)).returncode == 0


def test_all_of_an_unfinished_run_at_a_size_of_ones_own(run: Path, harness: Harness) -> None:
    for name in ("completions", "verdicts"):
        lines = (run / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (run / f"{name}.jsonl").write_text("".join(lines[:4]))
    (run / "result.json").unlink()
    edit_manifest(run, status="interrupted")
    graded = {each["request_id"] for each in records(run, "verdicts")}
    graded &= {each["request_id"] for each in records(run, "completions")}
    done = harness("rerun", str(run), "--batch-size", "3")
    assert done.returncode == 0, done.stderr
    assert mentions(done.stdout, "batch size 2", "2 at once", "repeated with 3", "3 at once")
    assert mentions(done.stdout, "note: --n=20 ", f"all {len(graded)} ", "note: ", "interrupted")
    assert "file " in done.stdout
    assert manifest(run)["status"] == "interrupted"


# --- what it refuses --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--n", "0"], "--n=0: … 1"),
        (["--batch-size", "-2"], "--batch-size=-2: … 1"),
        (["--n", "x"], "--n: … 'x' … harness rerun --help"),
    ],
)
def test_a_number_that_cannot_be_is_named(
    harness: Harness, arguments: list[str], words: str
) -> None:
    done = harness("rerun", str(GOLDEN), *arguments)
    assert done.returncode == 2
    assert mentions(refusal(done), words)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (
            {"kind": "replay", "run": str(GOLDEN)},
            "engine=replay",
        ),
        (
            {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"},
            "engine=openai … transformers … vllm … vllm_server",
        ),
    ],
)
def test_an_engine_that_cannot_be_asked_at_another_batch_size_is_named(
    run: Path, harness: Harness, engine: dict[str, str], words: str
) -> None:
    edit_manifest(run, config=manifest(run)["config"] | {"engine": engine})
    done = harness("rerun", str(run))
    assert done.returncode == 2
    assert mentions(refusal(done), f"run {run.name}: ", words)


def test_a_run_that_recorded_nothing_is_named(run: Path, harness: Harness) -> None:
    (run / "verdicts.jsonl").unlink()
    done = harness("rerun", str(run))
    assert done.returncode == 2
    assert mentions(refusal(done), f"run {run.name}: ", "verdict")


def test_other_weights_are_refused_before_anything_is_loaded(run: Path, harness: Harness) -> None:
    model = manifest(run)["model"] | {"sha256": "0" * 64}
    edit_manifest(run, model=model)
    before = contents(run)
    done = harness("rerun", str(run), "--n", "1")
    assert done.returncode == 2
    assert mentions(
        refusal(done), f"run {run.name} ", "weights", "sha256 000000000000 (revision None), "
    )
    assert contents(run) == before


def test_a_model_that_is_gone_is_exit_status_3(run: Path, tmp_path: Path, harness: Harness) -> None:
    config = manifest(run)["config"]
    config["model"]["path"] = str(tmp_path / "gone")
    edit_manifest(run, config=config)
    done = harness("rerun", str(run), "--n", "1")
    assert done.returncode == 3
    assert refusal(done).startswith(
        f"run {run.name}: model.path={tmp_path}/gone: no config.json there"
    )


def test_a_signal_leaves_nothing_half_written(run: Path, tmp_path: Path) -> None:
    config = manifest(run)["config"]
    config["protocol"]["max_new_tokens"] = 2000
    edit_manifest(run, config=config)
    before = contents(run)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(scratch))
        process = start(tmp_path, "rerun", str(run))
    while process.poll() is None and not list(scratch.glob("*/.lock")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "harness: stopped by SIGINT"
    assert contents(run) == before
    assert not list(scratch.glob("gegenprobe-*"))
