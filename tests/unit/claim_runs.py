"""Runs for the tests of claims: a real result.json with its model and outcomes exchanged."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from harness.io.paths import CONF_DIR
from tests.conftest import REPOSITORY

BASELINE = REPOSITORY / "results" / "baselines" / "smollm2_135m_standard_vllm.json"
SIZES = {"math500": 500, "humaneval": 164, "aime24": 30}


@cache
def _text() -> str:
    return BASELINE.read_text()


def conf(group: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CONF_DIR / group / f"{name}.yaml").read_text())
    return found


def spread(problems: int, samples: int, solved: int) -> list[int]:
    """Solved samples of each problem: most problems all or nothing, some of them half."""
    whole, rest = divmod(solved, samples)
    counts = [samples] * whole + ([rest] if rest else [])
    counts += [0] * (problems - len(counts))
    for i in range(min(whole, problems - whole) // 2):  # half of the unsolved ones get a half
        half = samples // 2
        if half and counts[i] == samples and counts[-1 - i] == 0:
            counts[i], counts[-1 - i] = samples - half, half
    assert sum(counts) == solved
    return counts


def make_run(  # noqa: PLR0913 - one for each thing that a run can be
    folder: Path,
    run_id: str,
    *,
    model: str = "r1_distill_qwen_7b",
    task: str = "math500",
    solved: list[int] | None = None,
    samples: int = 4,
    protocol: str = "deepseek_r1",
    protocol_changes: dict[str, Any] | None = None,
    truncated: int = 0,
    errors: int = 0,
    problems: int | None = None,
    seed: int = 0,
    engine: dict[str, Any] | None = None,
    device: str = "cuda",
    figures: dict[str, Any] | None = None,
    status: str = "complete",
) -> str:
    """Writes a result.json; gives its path.

    ``truncated`` and ``errors`` replace so many samples that were not solved.
    """
    result = json.loads(_text())
    manifest = result["manifest"]
    full = SIZES[task]
    problems = full if problems is None else problems
    solved = [samples] * problems if solved is None else solved
    config = manifest["config"]
    config["model"] = conf("model", model)
    config["protocol"] = {
        **conf("protocol", protocol),
        "samples_per_problem": samples,
        **(protocol_changes or {}),
    }
    selection = task if problems == full else f"{task}:{problems}"
    config |= {"tasks": [selection], "seed": seed}
    config["engine"] = engine or {"kind": "vllm", "dtype": "auto", "args": {}}
    manifest |= {"run_id": run_id, "status": status}
    manifest["model"] |= {"name": model}
    base = "math500" if task == "aime24" else task
    info = deepcopy(next(each for each in manifest["tasks"] if each["name"] == base))
    fields = deepcopy(manifest["protocol_fields"][base])
    if task == "aime24":
        _as_aime(info, fields)
    info |= {"selection": selection, "problems": problems, "full_size": full}
    manifest["tasks"] = [info]
    manifest["protocol_fields"] = {task: fields}
    manifest["protocol_fingerprints"] = {task: "0" * 16}
    for session in manifest["sessions"]:
        name = "NVIDIA H200" if device == "cuda" else "Some CPU"
        session["engine"] |= {"device": device, "device_name": name, "device_count": 1}
    result["outcomes"] = _outcomes(result["outcomes"][0], task, solved, samples, truncated, errors)
    result["estimates"] = [
        {"metric": metric, "value": value, "unit": "x", "n": 1, "method": "made up", "task": None}
        for metric, value in {"machine_s": 100.0, **(figures or {})}.items()
    ]
    file = folder / f"{run_id}.json"
    file.write_text(json.dumps(result))
    return str(file)


def _as_aime(info: dict[str, Any], fields: dict[str, Any]) -> None:
    import hashlib

    from harness.tasks import load_spec

    spec = load_spec("aime24")
    info |= {"name": "aime24", "version": spec.version}
    if spec.problems_sha256:
        info["problems_sha256"] = spec.problems_sha256
    fields["prompt_sha256"] = hashlib.sha256(spec.prompt.encode()).hexdigest()


def _outcomes(
    like: dict[str, Any], task: str, solved: list[int], samples: int, truncated: int, errors: int
) -> list[dict[str, Any]]:
    found = []
    for number, count in enumerate(solved):
        for sample in range(samples):
            status = "correct" if sample < count else "incorrect"
            if status == "incorrect" and truncated:
                status, truncated = "truncated", truncated - 1
            elif status == "incorrect" and errors:
                status, errors = "scorer_error", errors - 1
            found.append(like | {"request_id": f"{task}/p{number:04}#{sample}", "status": status})
    assert not truncated
    assert not errors
    return found
