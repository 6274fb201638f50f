"""Experiments: each makes the runs that its claims need, no others, and refuses a small machine."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.plugins.sweeper import Sweeper

from harness.claims.judge import judge_claims
from harness.claims.ledger import Ledger, load_ledger
from harness.claims.runs import read_runs
from harness.cli import main as cli
from harness.config.settings import RunConfig
from harness.engines.vllm_config import VllmKnobs
from harness.engines.vllm_environment import missing_settings
from harness.io.paths import CONF_DIR
from harness.machine import hardware
from harness.machine.provenance import collect
from harness.process.report import FinishedReport
from harness.runner import compose
from harness.runner.duration import expect
from harness.runner.finished import Finished
from harness.runner.sweep import jobs as jobs_module
from harness.store.manifest import ExpectedTime
from harness.tasks import load_spec
from tests.conftest import REPOSITORY
from tests.facts import known, mentions, narrowed
from tests.unit.claim_runs import SIZES, make_run

JOBS = {
    "r1_math500_85": 6,
    "r1_humaneval_92": 6,
    "distill_table": 12,
    "mtp_fp8_speedup": 40,
    "home_pc": 4,
    "moe_mla_proxy": 10,
}
DURATIONS = (
    "r1_math500_85",
    "r1_humaneval_92",
    "distill_table",
    "mtp_fp8_speedup",
    "moe_mla_proxy",
    "nightly",
)
"""Experiments whose durations are in docs/gpu.md."""
FIGURES = {
    "output_tokens_per_s": 100.0,
    "output_tokens_per_s.steady_state": 100.0,
    "usd_per_million_output_tokens.rented": 1.0,
}


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return load_ledger()


@pytest.fixture(scope="module")
def jobs() -> Callable[..., list[RunConfig]]:
    """The configurations of an experiment, as its sweep makes them; each is composed once."""
    known: dict[tuple[str, ...], list[RunConfig]] = {}

    def of(*overrides: str) -> list[RunConfig]:
        if overrides not in known:
            known[overrides] = []

            def take(config: RunConfig, **_: object) -> Finished:
                known[overrides].append(config)
                return Finished(Path(), result=None, status=0)

            def take_job(_: object, config: RunConfig, **__: object) -> FinishedReport:
                return FinishedReport(status=take(config).status)

            with pytest.MonkeyPatch.context() as patch:
                # Hydra composes every job of a sweep once more to look for mistakes beforehand.
                patch.setattr(Sweeper, "validate_batch_is_legal", lambda *_: None)
                patch.setattr(compose, "run", take)
                patch.setattr(jobs_module.Jobs, "_report", take_job)
                assert compose.compose_and_run(list(overrides)) == 0
        return known[overrides]

    return of


def args_of(config: RunConfig) -> dict[str, Any]:
    """What an engine that is vLLM is given as its arguments."""
    assert isinstance(config.engine, VllmKnobs)
    return config.engine.args


def deciding(ledger: Ledger, experiment: str) -> Ledger:
    """What of the ledger names an experiment."""
    claims = {
        name: claim
        for name, claim in ledger.claims.items()
        if getattr(claim.ablation or claim.measured, "experiment", None) == experiment
    }
    tables = {n: table for n, table in ledger.tables.items() if table.experiment == experiment}
    return ledger._replace(claims=claims, tables=tables)


def pretend(folder: Path, number: int, config: RunConfig) -> str:
    """The run that a job would make, as far as a claim looks at it."""
    (selection,) = config.selections
    engine = config.engine
    is_cpu = getattr(engine, "device", None) == "cpu"
    return make_run(
        folder,
        f"job-{number}",
        model=config.model.name,
        task=selection.task,
        problems=selection.size or SIZES[selection.task],
        samples=config.protocol.samples_per_problem,
        protocol=config.protocol.name,
        seed=config.seed,
        engine=engine.model_dump(mode="json"),
        device="cpu" if is_cpu else "cuda",
        figures=FIGURES,
    )


def test_every_experiment_is_known_here() -> None:
    assert {file.stem for file in (CONF_DIR / "experiment").glob("*.yaml")} == {
        *JOBS,
        "demo",
        "nightly",
        "ngram_speculation",  # for a CPU; no claim rests on it
    }


@pytest.mark.parametrize("experiment", JOBS)
def test_the_runs_are_those_that_the_claims_need(
    ledger: Ledger, jobs: Callable[..., list[RunConfig]], tmp_path: Path, experiment: str
) -> None:
    """Every run counts for something that names the experiment, and nothing of it stays open."""
    configs = jobs(f"experiment={experiment}")
    assert len(configs) == JOBS[experiment]
    named = deciding(ledger, experiment)
    assert named.claims or named.tables
    files = [pretend(tmp_path, number, config) for number, config in enumerate(configs)]
    found = judge_claims(named, read_runs(files, tmp_path))
    used = set()
    for judgement in found:
        assert known(judgement.measured).verdict != "untested", judgement.id
        assert not any("were planned" in caveat for caveat in judgement.caveats), judgement.id
        for evidence in known(judgement.measured).evidence:
            if evidence.verdict != "not comparable":
                used |= set(evidence.run_ids)
    assert used == {f"job-{number}" for number in range(len(configs))}
    for name, claim in named.claims.items():
        block: Any = claim.ablation or claim.measured
        models = getattr(block, "models", None) or (block.model, block.baseline)
        judged = next(each for each in found if each.id == name)
        ran = {
            run.model for run in known(judged.measured).evidence if run.verdict != "not comparable"
        }
        assert ran == set(models) or ran == {block.model}


@pytest.mark.parametrize("experiment", ["mtp_fp8_speedup", "moe_mla_proxy"])
def test_a_batch_is_as_large_as_it_is_called(
    jobs: Callable[..., list[RunConfig]], experiment: str
) -> None:
    """So many requests run at once as the batch is set to: fewer would leave places empty."""
    for config in jobs(f"experiment={experiment}"):
        assert args_of(config)["max_num_seqs"] <= sum(requests_of(config).values())


def requests_of(config: RunConfig) -> dict[str, int]:
    """By task, with none of them at hand."""
    samples = config.protocol.samples_per_problem
    return {
        each.task: samples * (known(each.size or load_spec(each.task).problems))
        for each in config.selections
    }


TITLES = {
    "r1_distill_qwen_1_5b": "1.5B",
    "r1_distill_qwen_7b": "7B",
    "r1_distill_llama_8b": "8B",
    "r1_distill_qwen_14b": "14B",
    "r1_distill_qwen_32b": "32B",
    "deepseek_v2_lite_chat": "V2-Lite",
    "qwen2_5_14b_instruct": "14B",
}


def between(minutes: list[float]) -> str:
    low, high = f"{min(minutes):.0f}", f"{max(minutes):.0f}"
    return low if low == high else f"{low} to {high}"


@pytest.mark.parametrize("experiment", DURATIONS)
def test_the_durations_on_the_page_are_those_of_the_plan(
    jobs: Callable[..., list[RunConfig]], experiment: str, tmp_path: Path
) -> None:
    """When this fails on purpose, the row to put into docs/gpu.md is in the message."""
    minutes: dict[str, list[float]] = {}
    total_s = usd = 0.0
    for config in jobs(f"experiment={experiment}"):
        h200 = config.model_copy(update={"plan_for": "h200"})
        found = expect(h200, requests_of(config), collect(), tmp_path)
        if config.model.name == "r1_distill_llama_70b":
            assert isinstance(found, str)  # does not fit
            continue
        found = narrowed(ExpectedTime, found)
        seconds = found.load_s + found.generation_s
        minutes.setdefault(config.model.name, []).append(seconds / 60)
        total_s += seconds
        usd += known(found.usd)
    each = "; ".join(f"{TITLES[name]} {between(found)}" for name, found in minutes.items())
    row = f"| `{experiment}` | {each} | {total_s / 3600:.1f} h, {usd:.0f} USD |"
    assert row in (REPOSITORY / "docs" / "gpu.md").read_text(), row


@pytest.mark.parametrize("experiment", JOBS)
def test_an_experiment_says_what_it_needs_and_expects(
    jobs: Callable[..., list[RunConfig]], experiment: str
) -> None:
    text = (CONF_DIR / "experiment" / f"{experiment}.yaml").read_text()
    assert "Forecast, written on 2026-11-21:" in text
    for config in jobs(f"experiment={experiment}"):
        assert known(config.requires).gpus == 1
        assert known(config.requires).gpu_memory_bytes == 80e9


def test_a_plan_takes_the_samples_of_deepseeks_aime_scores_from_its_table(
    ledger: Ledger, jobs: Callable[..., list[RunConfig]]
) -> None:
    (column,) = (c for c in ledger.tables["distill_table"].columns if c.name == "AIME 2024")
    for config in jobs("experiment=distill_table"):
        assert config.purpose is not None
        assert config.purpose["aime24"].published_samples == column.samples_per_problem == 64


def test_the_ablation_is_balanced(jobs: Callable[..., list[RunConfig]]) -> None:
    cells = {
        (
            args_of(config)["speculative_config"] is not None,
            args_of(config)["quantization"],
            args_of(config)["max_num_seqs"],
            config.seed,
        )
        for config in jobs("experiment=mtp_fp8_speedup")
        if isinstance(config.engine, VllmKnobs)
    }
    assert len(cells) == 2 * 2 * 2 * 5


@pytest.mark.parametrize("experiment", ["mtp_fp8_speedup", "ngram_speculation"])
def test_both_sides_of_an_ablation_schedule_alike(
    jobs: Callable[..., list[RunConfig]], experiment: str
) -> None:
    """vLLM chooses by the draft where nobody does."""
    chosen = {
        args_of(config).get("async_scheduling") for config in jobs(f"experiment={experiment}")
    }
    assert len(chosen) == 1
    assert None not in chosen


def test_the_draft_head_drafts_as_far_as_an_answer_may_go(
    jobs: Callable[..., list[RunConfig]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it vLLM would stop at the head's own 2,048 tokens."""
    monkeypatch.delenv("VLLM_ALLOW_LONG_MAX_MODEL_LEN", raising=False)
    for config in jobs("experiment=mtp_fp8_speedup"):
        draft = args_of(config)["speculative_config"]
        settings = missing_settings(args_of(config))
        assert ("VLLM_ALLOW_LONG_MAX_MODEL_LEN" in settings) == (draft is not None)
        if draft is not None:
            assert draft["max_model_len"] == config.protocol.context_tokens


def test_one_model_of_an_experiment_is_one_job(jobs: Callable[..., list[RunConfig]]) -> None:
    (config,) = jobs(
        "experiment=r1_math500_85",
        "model=r1_distill_llama_70b",
        "requires.gpus=2",
        "+engine.args.tensor_parallel_size=2",
    )
    assert known(config.requires).gpus == 2
    assert config.protocol.samples_per_problem == 4
    assert args_of(config)["tensor_parallel_size"] == 2


def test_every_command_that_would_decide_composes(
    ledger: Ledger, jobs: Callable[..., list[RunConfig]]
) -> None:
    commands = {each.decide for each in judge_claims(ledger) if each.decide}
    assert len(commands) >= 12
    for command in commands:
        words = shlex.split(command.removeprefix("harness run "))
        if words[0].startswith("experiment=") and len(words) > 1:
            # What an experiment sweeps over takes one of its values: composed above already.
            experiment, model, *needs = words
            assert bool(needs) == ("70b" in model), command
            models = {config.model.name for config in jobs(experiment)}
            assert model.removeprefix("model=") in models, command
        else:
            assert jobs(*words), command


# One job of each is enough to see that it would not start.
FIRST = {
    "mtp_fp8_speedup": [
        "seed=0",
        "engine.args.speculative_config=null",
        "engine.args.quantization=null",
        "engine.args.max_num_seqs=1",
    ],
    "home_pc": ["model=r1_distill_qwen_1_5b", "suite=home_pc_score"],
    "moe_mla_proxy": ["model=qwen2_5_14b_instruct", "seed=0"],
    "distill_table": ["model=r1_distill_qwen_1_5b", "suite=math500_x4"],
    "r1_math500_85": ["model=r1_distill_qwen_1_5b"],
    "r1_humaneval_92": ["model=r1_distill_qwen_1_5b"],
}


@pytest.mark.skipif(hardware.cuda_devices() > 0, reason="it might run here")
@pytest.mark.parametrize("experiment", FIRST)
def test_without_a_gpu_it_refuses_and_its_plan_is_shown(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    experiment: str,
) -> None:
    arguments = ["run", f"experiment={experiment}", *FIRST[experiment], f"results_dir={tmp_path}"]
    assert cli.main(arguments) == 3
    refusal = caplog.messages[-1]  # of the first job
    assert mentions(refusal, "1 NVIDIA GPU", "80 GB") or mentions(refusal, "vllm", "installed")
    assert list(tmp_path.iterdir()) == []
    assert cli.main([*arguments, "--dry-run"]) == 0
    assert "cannot run" in capsys.readouterr().out
