"""Ways in and out that are no programs: secrets, pickles, a model's own code, paths, links."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import GOLDEN, Harness, command, last_line, records, start, stop, tiny_run
from tests.facts import mentions

REPLAY = ["run", "experiment=demo", "engine=replay"]
CANARY = "canary-7f3a91c2"
SECRETS = {
    name: f"{CANARY}-{name.lower()}"
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD")
}


def telling(folder: Path) -> Path:
    """The golden recording, with a program that tells all it can see of its environment."""
    copy = folder / "recording"
    shutil.copytree(GOLDEN, copy)
    lines = records(copy, "completions")
    told = next(line for line in lines if line["request_id"].startswith("humaneval/"))
    told["text"] = (
        "```python\nimport os\n"
        "raise ValueError(sorted(os.environ.items()))\n```"
    )  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (copy / "completions.jsonl").write_text(text, encoding="utf-8")
    return copy


def test_secrets_of_the_environment_are_nowhere(harness: Harness, tmp_path: Path) -> None:
    recording = telling(tmp_path)
    done = harness(*REPLAY, f"engine.run={recording}", **SECRETS)
    assert done.returncode == 0, done.stderr
    folder = Path(last_line(done)["path"])
    details = " ".join(each["detail"] for each in records(folder, "verdicts"))
    assert "exception: ValueError: [('HOME'" in details, "the program told nothing"
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 5
    leaks = [file for file in files if CANARY.encode() in file.read_bytes()]
    assert not leaks
    assert CANARY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("override", "key"),
    [
        (f"model.path=https://me:{CANARY}@host/weights", "model.path"),
        (f"model.name={SECRETS['HF_TOKEN']}", "model.name"),
    ],
)
def test_a_secret_in_the_configuration_is_refused_and_not_repeated(
    harness: Harness, tmp_path: Path, override: str, key: str
) -> None:
    done = harness(
        "run", "model=local", f"model.path={tmp_path}", "engine=transformers", override, **SECRETS
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"harness: {key}: holds the ")
    assert CANARY not in done.stdout + done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_error_lines_and_tracebacks_hide_secrets(harness: Harness, debug: list[str]) -> None:
    done = harness("score", f"https://me:{CANARY}@host/run", *debug)
    assert done.returncode == 2
    assert "harness: https://***@host/run: " in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_pickled_weights_are_refused(harness: Harness, tmp_path: Path) -> None:
    """``torch.load`` of this file would write another."""
    import pickle

    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "qwen2"}')

    class Bomb:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (tmp_path / "pwned",)

    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    done = harness("run", "model=local", f"model.path={model}", "engine=transformers")
    assert done.returncode == 2
    assert mentions(done.stderr.splitlines()[-1], f"harness: model.path={model}: ", "*.safetensors")
    assert not (tmp_path / "pwned").exists()


def test_pickled_weights_beside_others_are_not_read(
    tiny_model: Path, harness: Harness, tmp_path: Path
) -> None:
    """The name is right, the content is not what the model needs: no reason to fall back."""
    import pickle

    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "model.safetensors").rename(model / "other.safetensors")

    class Bomb:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (tmp_path / "pwned",)

    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    done = harness(*tiny_run(model))
    assert done.returncode not in {0, 4}
    assert not (tmp_path / "pwned").exists()


def test_a_models_own_code_is_not_run_unless_asked_for_by_name(
    tiny_model: Path, harness: Harness, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "own.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\n")
    for name, what in (("config", "AutoConfig"), ("tokenizer_config", "AutoTokenizer")):
        file = model / f"{name}.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        content["auto_map"] = {what: "own.Own", "AutoModelForCausalLM": "own.Own"}
        if name == "config":
            content["model_type"] = "own"
        file.write_text(json.dumps(content), encoding="utf-8")
    done = harness(*tiny_run(model))
    assert done.returncode not in {0, 4}
    assert "model.trust_remote_code=true" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", "math_mini/../math_mini"])
def test_a_task_is_a_name_and_no_path(harness: Harness, tmp_path: Path, name: str) -> None:
    done = harness("run", f"tasks=['{name}']", "model=smollm2_135m", "engine=transformers")
    assert done.returncode == 2
    assert "tasks" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Root passes over permission bits, but not over a mount."""
    if os.geteuid() != 0:
        every = [folder, *folder.rglob("*")]
        for path in every:
            path.chmod(path.stat().st_mode & ~0o222)
        try:
            yield
        finally:
            for path in every:
                path.chmod(path.stat().st_mode | 0o200)
        return
    for options in (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)]):
        if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
            pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_results_folder_is_one_line_and_loses_nothing(
    tmp_path: Path, harness: Harness
) -> None:
    arguments = [*REPLAY, f"engine.run={GOLDEN}"]
    process = start(tmp_path, *arguments)
    while not list(tmp_path.glob("runs/*/completions.jsonl")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.0005)
    stop(process, signal.SIGKILL)
    (folder,) = (file.parent for file in tmp_path.glob("runs/*/manifest.json"))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    why = "Permission denied" if os.geteuid() else "Read-only file system"
    with read_only(tmp_path):
        resumed = harness("run", f"resume={folder.name}")
        assert resumed.returncode == 2
        (line,) = resumed.stderr.splitlines()
        assert mentions(line, f"harness: {folder}/.lock: ", why)
        fresh = harness(*arguments, "resume=auto")
        assert fresh.returncode == 2
        assert mentions(
            fresh.stderr.splitlines()[-1], f"harness: results_dir={tmp_path}: ", f"({why})"
        )
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    done = subprocess.run(
        command(tmp_path, "run", f"resume={folder.name}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(records(folder, "completions")) == len(records(folder, "verdicts")) == 40
