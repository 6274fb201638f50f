"""Every shipped choice composes and validates; Hydra's mistakes come in our words."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.overrides import as_typed
from harness.config.settings import RunConfig, load_run_config
from harness.engines.openai_engine import OpenaiConfig
from harness.errors import ConfigError
from harness.io.paths import CONF_DIR
from harness.models.description import HubModel
from tests.facts import known, mentions, narrowed


def choices(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF_DIR / group).glob("*.yaml"))


def compose(*overrides: str) -> RunConfig:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = hydra_compose("config", overrides=list(overrides))
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return load_run_config(narrowed(dict, plain))


# What a choice needs besides its name.
NEEDED = {
    "model=local": ["model.path=/models/mine"],
    "model=hub": ["model.hub_id=some/model"],
    "model=remote": [
        "model.name=hosted",
        "engine=openai",
        "engine.base_url=http://127.0.0.1:8000/v1",
        "engine.mode=chat",
        "protocol.force_think=false",
    ],
    "engine=openai": ["engine.base_url=http://127.0.0.1:8000/v1"],
    "engine=replay": ["engine.run=some_run"],
}
ALL = [
    f"{group}={name}"
    for group in ("model", "engine", "protocol", "suite", "pricing", "experiment")
    for name in choices(group)
]


@pytest.mark.parametrize("choice", ALL)
def test_every_choice_is_valid(choice: str) -> None:
    short = [] if choice.startswith("experiment") else ["protocol.max_new_tokens=512"]
    config = compose(choice, *NEEDED.get(choice, []), *short)
    assert config.tasks


def test_the_defaults_are_the_smallest_distill_with_deepseeks_settings() -> None:
    config = compose()
    assert config.model.name == "r1_distill_qwen_1_5b"
    assert config.engine.kind == "auto"
    sampling = config.protocol.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.6, 0.95, None)
    assert sampling.max_new_tokens == 32_768
    assert config.tasks == ("humaneval:20", "math_mini:20")


def test_the_six_distills_are_pinned_to_commits() -> None:
    names = [name for name in choices("model") if name.startswith("r1_distill")]
    assert len(names) == 6
    for name in names:
        model = narrowed(HubModel, compose(f"model={name}").model)
        assert len(model.revision) == 40
        assert model.parameters == expected_parameters(model)


def expected_parameters(model: HubModel) -> int:
    """Counted from the shape: embeddings, attention (Qwen2's with biases), MLP, norms."""
    shape = known(model.shape)
    head = shape.hidden // shape.attention_heads
    kv = head * shape.kv_heads
    biases = shape.hidden + 2 * kv if "Qwen" in model.hub_id else 0
    layer = (
        2 * shape.hidden * shape.hidden
        + 2 * shape.hidden * kv
        + 3 * shape.hidden * shape.ffn
        + 2 * shape.hidden
        + biases
    )
    return shape.layers * layer + 2 * shape.vocab * shape.hidden + shape.hidden


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["protocol=nope"],
            "protocol=nope: … deepseek_r1, greedy, greedy_long",
        ),
        (
            ["limits.max_eror_fraction=0.1"],
            "limits.max_eror_fraction: … limits.max_error_fraction?",
        ),
        (["model=local"], "model.path: … model.path=VALUE"),
        (["tasks=[math500"], f"'tasks=[math500' … KEY=VALUE … {as_typed('tasks', '[math500')}"),
        (["--dryrun"], "--dryrun: … --dry-run?"),
        (["--experiment", "demo"], "--experiment: … experiment=NAME"),
        (["--bogus"], "--bogus: … --dry-run … --cfg job … -m"),
        (["experiment=demo", "--cfg"], "--cfg: … --cfg job"),
        (["+foo=2"], "foo=2: "),
        (["experiment=demo", "seed=1,2"], f"seed=1,2: … -m … {as_typed('seed', '1,2')}"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_exit_status_2(
    arguments: list[str], words: str
) -> None:
    done = harness("run", *arguments)
    assert done.stderr.startswith(f"harness: {words.split(' … ', maxsplit=1)[0]}")
    assert mentions(done.stderr, words)
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
    assert done.stdout == ""


def test_cfg_job_prints_the_configuration_and_runs_nothing() -> None:
    done = harness("run", "experiment=demo", "--cfg", "job")
    assert done.returncode == 0
    assert "name: smollm2_135m" in done.stdout


def test_a_sweep_goes_on_after_a_job_that_fails() -> None:
    done = harness("run", "-m", "seed=1,2", "tasks=[nope]")
    assert done.returncode == 2
    first, mistake, second, again, end = done.stderr.splitlines()
    assert first == "harness: job 1: seed=1 tasks=[nope]"
    assert mentions(
        mistake,
        "harness: job 1: tasks: ",
        "'nope'",
        "aime24, gsm8k, gsm8k_fewshot, humaneval, math500, math_mini",
    )
    assert second == "harness: job 2: seed=2 tasks=[nope]"
    assert mentions(again, "harness: job 2: ", "job 1")
    assert mentions(end, "2 jobs", "exit status 2")


def test_the_plan_of_a_sweep_says_each_thing_once_and_what_all_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs without a plan are missing from the total, which says so."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    models, sizes = "r1_distill_qwen_1_5b,r1_distill_llama_8b", "100,0"
    done = harness(
        *("run", "-m", f"model={models}", f"protocol.max_new_tokens={sizes}", "seed=1,2"),
        *("tasks=[math500]", "--dry-run"),
    )
    assert done.returncode == 2
    plans, total = done.stdout.split("\n\ntotal ")
    first, same, wrong, _, other, *_ = plans.removeprefix("harness: job ").split("harness: job ")
    assert "first prompt" in first
    assert [len(job.splitlines()) for job in (same, wrong)] == [1, 1]
    keys = [line[:10].rstrip() for line in other.splitlines()[1:]]
    # how much fits at once, and if it can run, are this machine's
    assert keys[:4] == ["model", "memory", "time", "to fetch"]
    assert set(keys[4:]) <= {"at once", "mind", "cannot run", "can run"}
    amounts, time, small, task, large, in_all = total.splitlines()
    assert time.startswith("time ")
    assert mentions(amounts, "4 runs, 2,000 requests, 200,000 output tokens", "4 of 8 jobs")
    assert mentions(small, "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B@ad9f0ae0864d", "3.6 GB")
    assert mentions(task, "math500", "HuggingFaceH4/MATH-500")
    assert mentions(large, "deepseek-ai/DeepSeek-R1-Distill-Llama-8B@6a6f4aa41979", "16.1 GB")
    assert mentions(in_all, "19.6 GB", "unknown")
    mistake, *again = done.stderr.splitlines()
    assert mistake.startswith("harness: job 3: protocol.max_new_tokens=0: ")
    for line, number in zip(again[:3], (4, 7, 8), strict=True):
        assert mentions(line, f"harness: job {number}: ", "job 3")
    statuses = [line.split(": ")[1] for line in again[3:]]
    assert statuses == [f"exit status {status}" for status in (0, 0, 2, 2, 0, 0, 2, 2)]


def test_an_override_takes_the_place_of_what_is_swept_over() -> None:
    """Hydra would run the same configuration once for each value that it no longer has."""
    done = harness("run", "-m", "seed=1,2", "seed=3", "tasks=[nope]")
    job, mistake = done.stderr.splitlines()
    assert job == "harness: job 1: seed=3 tasks=[nope]"
    assert mentions(mistake, "harness: job 1: tasks: ", "'nope'")


def test_a_wrong_configuration_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        compose("protocol.top_p=7")


REMOTE = ("model=remote", "model.name=m", "engine=openai", "engine.mode=chat", "protocol=greedy",
          "engine.base_url=http://localhost/v1")  # fmt: skip


def test_a_header_from_the_environment_is_configured_by_the_variables_name() -> None:
    """The variable's name is recorded; a value in its place is refused and not shown."""
    config = compose(*REMOTE, "+engine.headers_env.X-Api-Key=EXAMPLE_API_KEY")
    assert narrowed(OpenaiConfig, config.engine).headers_env == {"X-Api-Key": "EXAMPLE_API_KEY"}
    with pytest.raises(ConfigError) as caught:
        compose(*REMOTE, "+engine.headers_env.X-Api-Key=sk-v4lue-of-a-key-1234")
    assert "sk-v4lue" not in str(caught.value)


def test_the_share_of_failures_that_stops_a_run_is_a_share() -> None:
    assert compose(*REMOTE).limits.stop_at_error_fraction == 0.5
    assert (
        compose(*REMOTE, "limits.stop_at_error_fraction=null").limits.stop_at_error_fraction is None
    )
    for wrong in ("0", "1", "50", "-0.1", "much"):
        with pytest.raises(ConfigError, match=r"limits\.stop_at_error_fraction"):
            compose(*REMOTE, f"limits.stop_at_error_fraction={wrong}")
