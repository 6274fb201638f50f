"""How long a run will take: against published speeds, a planned table, and itself."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.config.settings import RunConfig, load_run_config
from harness.engines import build
from harness.errors import ConfigError
from harness.io.paths import CONF_DIR
from harness.machine import hardware
from harness.machine.provenance import GpuInfo, Provenance, collect
from harness.quantities.published import machines
from harness.runner.duration import ERROR_FACTORS, devices, expect
from harness.runner.duration.devices import Devices, devices_of, measure_cpu
from harness.runner.duration.expected_time import _batch, _load
from harness.runner.duration.roofline import (
    PREEMPTION_FRACTION,
    Batch,
    Load,
    Roof,
    course,
    lengths,
    step_seconds,
)
from harness.runner.preflight import FreeMemory, plan_memory
from harness.store.manifest import ExpectedTime
from harness.store.result import RunResult, load
from harness.store.run_files import runs_dir
from tests.conftest import REPOSITORY
from tests.facts import known, mentions, narrowed
from tests.unit.claim_runs import conf
from tests.unit.test_config import composed
from tests.unit.test_cost import OTHERS

BASELINE = REPOSITORY / "results" / "baselines" / "smollm2_135m_standard_transformers.json"
BARE = {"memory_bytes": 80 << 30, "driver": "580.1"}


def made_config(
    model: str = "r1_distill_qwen_1_5b", engine: str = "vllm", **changes: Any
) -> RunConfig:
    """As ``harness run`` composes it, vLLM installed or not."""
    protocol = "deepseek_r1" if model.startswith("r1_") else "greedy"
    described = conf("model", model) | ({"path": "/models/mine"} if model == "local" else {})
    knobs = conf("engine", engine)
    if args := changes.pop("args", None):
        knobs["args"] = args
    return load_run_config(
        composed(model=described, engine=knobs, protocol=conf("protocol", protocol), **changes)
    )


def time_of(
    config: RunConfig, requests: Mapping[str, int], here: Provenance, results_dir: Path
) -> ExpectedTime:
    return narrowed(ExpectedTime, expect(config, requests, here, results_dir))


def known_devices(config: RunConfig, here: Provenance) -> Devices:
    return narrowed(Devices, devices_of(config, here))


def known_load(config: RunConfig) -> Load:
    return narrowed(Load, _load(config))


def machine(*names: str) -> Provenance:
    """This machine with other GPUs."""
    return collect().model_copy(
        update={"gpus": tuple(GpuInfo(name=name, **BARE) for name in names)}
    )


H100, H200 = "NVIDIA H100 80GB HBM3", "NVIDIA H200"

# Output tokens a second on one H100 in BF16, by sequences at once. The first two are steady state
# with vLLM 0.11 (ML.ENERGY benchmark 3.0), the last vLLM 0.31 without its draft; the context is
# what such answers have in the cache on average, which none of them says: an assumption.
THINKING, CHAT, SHORT = 3500, 500, 1000
ANCHORS = [
    ("qwen3_8b", THINKING, 8, 818),
    ("qwen3_8b", THINKING, 32, 1917),
    ("qwen3_8b", THINKING, 82, 3117),
    ("llama_3_1_8b", CHAT, 8, 1070),
    ("llama_3_1_8b", CHAT, 64, 5147),
    ("llama_3_1_8b", CHAT, 256, 9010),
    ("qwen3_8b", SHORT, 1, 125),
    ("qwen3_8b", SHORT, 8, 898),
    ("qwen3_8b", SHORT, 32, 2726),
]
ANCHOR_ERROR = 0.1
# Of the model: parameters without the input embedding, and bytes that a token leaves in the cache.
SIZES = {
    "qwen3_8b": (8_190_735_360 - 151_936 * 4096, 36 * 2 * 8 * 128 * 2),
    "llama_3_1_8b": (8_030_261_248 - 128_256 * 4096, 32 * 2 * 8 * 128 * 2),
}


@pytest.mark.parametrize(("model", "context", "sequences", "measured"), ANCHORS)
def test_published_speeds_are_met_within_a_tenth(
    model: str, context: int, sequences: int, measured: int
) -> None:
    weights, cache = SIZES[model]
    load = Load(2 * weights, 2 * weights, 2 * weights, cache)
    roof = known_devices(made_config(engine="vllm"), machine(H100)).roof
    seconds = step_seconds(load, roof, sequences, sequences * context)
    assert sequences * load.tokens_per_step / seconds == pytest.approx(measured, rel=ANCHOR_ERROR)


# What was planned for one H200 by hand, in minutes: the same roofs, lengths of 3 to 5 thousand
# tokens for MATH and 10 to 16 thousand for AIME.
BY_HAND = {
    "r1_distill_qwen_1_5b": {"math500": 11, "humaneval": 8, "aime24": 61},
    "r1_distill_qwen_7b": {"math500": 14, "humaneval": 11, "aime24": 88},
    "r1_distill_llama_8b": {"math500": 25, "humaneval": 18, "aime24": 210},
    "r1_distill_qwen_14b": {"math500": 29, "humaneval": 21, "aime24": 241},
    "r1_distill_qwen_32b": {"math500": 47, "humaneval": 33, "aime24": 411},
}
REQUESTS = {"math500": 4 * 500, "humaneval": 8 * 164, "aime24": 64 * 30}


@pytest.mark.parametrize("task", REQUESTS)
@pytest.mark.parametrize("model", BY_HAND)
def test_the_table_by_hand_is_met_within_the_stated_error(
    model: str, task: str, tmp_path: Path
) -> None:
    config = made_config(model=model, engine="vllm", tasks=[task])
    found = time_of(config, {task: REQUESTS[task]}, machine(H200), tmp_path)
    by_hand_s = 60 * BY_HAND[model][task]
    factor = ERROR_FACTORS["roofline"]
    assert found.basis == "roofline"
    assert by_hand_s / factor < found.generation_s < by_hand_s * factor
    assert found.generation_high_s / found.generation_s == pytest.approx(factor)


# --- the steps --------------------------------------------------------------------------------

ROOF = Roof(bytes_per_s=1e12, flops_per_s=1e14, step_s=1e-3, sequence_s=1e-5)
LOAD = Load(1e10, 1e10, 1e10, 1e5)
EVERYTHING = Batch(1000, float("inf"))


def test_one_answer_takes_its_steps() -> None:
    seconds, tokens = course([100], 0, LOAD, ROOF, EVERYTHING)
    # Each step reads the weights, and 50 tokens of cache on average.
    assert seconds == pytest.approx(100 * (1e10 / 1e12 + 50 * 1e5 / 1e12 + 1e-3 + 1e-5))
    assert tokens == 100


def test_more_places_are_faster_until_all_have_one() -> None:
    answers = lengths(500, 0.8, 4000, 64)
    times = [
        course(answers, 50, LOAD, ROOF, Batch(places, float("inf"))).seconds
        for places in (1, 8, 64, 128)
    ]
    assert times[0] > times[1] > times[2] == times[3]


def test_a_small_cache_costs_time_and_serves_all() -> None:
    answers = lengths(500, 0.8, 4000, 64)
    wide = course(answers, 50, LOAD, ROOF, EVERYTHING)
    narrow = course(answers, 50, LOAD, ROOF, Batch(1000, 5000))
    assert narrow.tokens == wide.tokens == answers.sum()
    assert narrow.seconds > wide.seconds * (1 + PREEMPTION_FRACTION)


def test_lengths_are_cut_off_by_the_budget_and_keep_their_mean() -> None:
    found = lengths(1000, 0.5, 100_000, 4001)
    assert found.mean() == pytest.approx(1000, rel=0.02)
    assert lengths(1000, 0.5, 800, 4001).max() == 800
    assert list(lengths(1000, 0.5, 800, 9)) == list(lengths(1000, 0.5, 800, 9))


# --- the devices ------------------------------------------------------------------------------


def test_every_gpu_that_has_a_price_is_a_machine_that_can_be_reckoned_with() -> None:
    for each in machines().values():
        if each.match:
            found = known_devices(made_config(engine="vllm"), machine(each.match[0]))
            assert found.device_name == each.match[0]


@pytest.mark.parametrize(
    ("changed", "gpus", "title"),
    [
        ({"engine": "vllm"}, [H200], "1 x H200 141 GB"),
        ({"engine": "vllm", "plan_for": "a100"}, [H200], "1 x A100 80 GB SXM"),
        ({"engine": "vllm", "args": {"tensor_parallel_size": 2}}, [H200] * 2, "2 x H200 141 GB"),
        ({"engine": "vllm", "args": {"data_parallel_size": 4}}, [H200] * 4, "4 x H200 141 GB"),
        ({"engine": "vllm", "shards": 2}, [H200] * 2, "2 x H200 141 GB"),
        ({"engine": "vllm", "shards": 2, "shard": 0}, [H200] * 2, "1 x H200 141 GB"),
        # The plan asks for GPUs, and none is here.
        ({"engine": "vllm", "requires": {"gpus": 1}}, [], "1 x H200 141 GB"),
    ],
)
def test_which_devices_are_reckoned_with(
    changed: dict[str, Any], gpus: list[str], title: str
) -> None:
    assert known_devices(made_config(**changed), machine(*gpus)).title == title


def test_two_copies_are_faster_than_one_spread_over_two(tmp_path: Path) -> None:
    def seconds(**args: int) -> float:
        config = made_config(model="r1_distill_qwen_7b", engine="vllm", args=args)
        return time_of(config, {"math500": 2000}, machine(H200, H200), tmp_path).generation_s

    one, spread, copies = (
        seconds(),
        seconds(tensor_parallel_size=2),
        seconds(data_parallel_size=2),
    )
    assert copies < one
    assert spread < one


@pytest.mark.parametrize("name", ["Graphics 9000", *OTHERS])
def test_an_unknown_gpu_is_no_guess(name: str, tmp_path: Path) -> None:
    config = made_config(engine="vllm")
    assert isinstance(expect(config, {"math500": 9}, machine(name), tmp_path), str)


@pytest.mark.parametrize(
    ("changed", "gpu", "places"),
    [
        ({}, H200, 1024),
        # vLLM takes fewer on an A100, whatever its memory.
        ({"plan_for": "a100"}, H200, 256),
        # Two small GPUs are not a large one.
        ({"args": {"tensor_parallel_size": 2}}, "NVIDIA L40S", 256),
        ({"engine": "transformers"}, H200, 3),
    ],
)
def test_as_many_run_at_once_as_the_engine_lets(
    changed: dict[str, Any], gpu: str, places: int
) -> None:
    config = made_config("r1_distill_qwen_7b", **changed)
    found = _batch(config, known_devices(config, machine(gpu)), known_load(config))
    assert found.sequences == places


def test_the_forecast_has_the_cache_of_the_memory_plan() -> None:
    config = made_config("r1_distill_qwen_7b", args={"gpu_memory_utilization": 0.8})
    sheet = machines()["h200"].memory_bytes
    here = machine(H200)
    here = here.model_copy(
        update={"gpus": tuple(gpu.model_copy(update={"memory_bytes": sheet}) for gpu in here.gpus)}
    )
    load = known_load(config)
    room = (
        _batch(config, known_devices(config, here), load).cache_tokens * load.cache_bytes_per_token
    )
    planned = plan_memory(config, here, FreeMemory(cpu_bytes=1, gpu_bytes=(sheet,)))
    assert room == pytest.approx(known(planned).cache_bytes)


def test_an_engine_that_was_left_open_is_that_of_the_devices(tmp_path: Path) -> None:
    def seconds(engine: str, *gpus: str, **changed: Any) -> float:
        config = made_config(model="smollm2_135m", engine=engine, **changed)
        return time_of(config, {"math500": 100}, machine(*gpus), tmp_path).generation_s

    assert seconds("auto", H200) == seconds("vllm", H200)
    # A laptop plans for the box that the experiment needs, and for vLLM on it.
    assert seconds("auto", requires={"gpus": 1}) == seconds("vllm", H200)


def test_an_engine_that_was_left_open_is_the_one_that_this_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box with GPUs and without vLLM runs transformers."""

    def seconds(engine: str, **changed: Any) -> float:
        config = made_config(model="smollm2_135m", engine=engine, **changed)
        return time_of(config, {"math500": 100}, machine(H200), tmp_path).generation_s

    monkeypatch.setattr(hardware, "cuda_devices", lambda: 1)
    monkeypatch.setattr(build, "find_spec", lambda _: None)
    assert seconds("auto") == seconds("transformers")
    assert seconds("auto", plan_for="h200") == seconds("vllm")


def test_planning_loads_no_torch() -> None:
    program = (
        "import sys; from harness.runner.duration import expected_time; "
        "from harness.runner.duration.roofline import lengths; lengths(9, 1, 9, 9); "
        "assert not {'torch', 'vllm', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_a_machine_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"plan_for=h300: .*h200"):
        devices_of(made_config(engine="vllm", plan_for="h300"), machine())


@pytest.mark.parametrize(
    ("changed", "task"),
    [({"model": "local"}, "math500"), ({"engine": "vllm"}, "a_task_of_ones_own")],
)
def test_what_is_not_known_is_said(changed: dict[str, str], task: str, tmp_path: Path) -> None:
    config = made_config(**{"engine": "vllm", **changed})
    assert isinstance(expect(config, {task: 9}, machine(H200), tmp_path), str)


def test_weights_that_do_not_fit_have_no_duration(tmp_path: Path) -> None:
    config = made_config(model="r1_distill_llama_70b", engine="vllm")
    assert isinstance(expect(config, {"math500": 9}, machine(H100), tmp_path), str)


def test_fp8_and_a_draft_are_faster_for_one_reader(tmp_path: Path) -> None:
    def seconds(**args: object) -> float:
        config = made_config(
            model="r1_distill_llama_8b", engine="vllm", args={"max_num_seqs": 1, **args}
        )
        return time_of(config, {"math500": 5}, machine(H200), tmp_path).generation_s

    draft = {"method": "eagle3", "num_speculative_tokens": 1}
    assert seconds(quantization="fp8") < seconds()
    assert seconds(speculative_config=draft) < seconds()


def test_a_drafted_token_is_multiplied_whether_it_is_accepted_or_not() -> None:
    draft = {"method": "ngram", "num_speculative_tokens": 4}
    args = {"speculative_config": draft}
    load = known_load(made_config(model="r1_distill_llama_8b", args=args))
    assert 1 < load.tokens_per_step < load.computed_per_step == 5
    # So many at once that the products decide, and one sequence more is that many products more.
    slow = ROOF._replace(flops_per_s=1e12)
    longer = step_seconds(load, slow, 101, 0) - step_seconds(load, slow, 100, 0)
    assert longer == pytest.approx(5 * load.flops_per_token / 1e12 + slow.sequence_s)


def test_a_folder_whose_yaml_names_no_sizes_computes_with_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    save_file({"w": np.zeros((30, 10), np.float32)}, tmp_path / "model.safetensors")
    config = made_config("local")
    config = config.model_copy(
        update={"model": config.model.model_copy(update={"path": str(tmp_path)})}
    )
    assert known_load(config).flops_per_token == 2 * 300


def test_experts_are_read_when_somebody_uses_them() -> None:
    load = known_load(made_config(model="deepseek_v2_lite_chat", engine="vllm"))
    assert load.token_bytes < load.weight_bytes / 4
    assert load.flops_per_token < load.weight_bytes / 4


def test_a_cpu_is_measured_and_far_off(tmp_path: Path) -> None:
    bandwidth, flops = measure_cpu()
    assert bandwidth > 1e8
    assert flops > 1e8
    config = made_config(model="smollm2_135m", engine="transformers")
    found = time_of(config, {"math500": 3}, machine(), tmp_path)
    assert mentions(found.basis, "roofline", "CPU")
    assert found.generation_high_s / found.generation_low_s == pytest.approx(9)


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_our_own_runs_on_two_cores_are_met_within_the_stated_error(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """numpy measures 100 GFLOP/s and 13 GB/s on such a machine, when it is idle."""
    monkeypatch.setattr(devices, "measure_cpu", lambda: (13e9, 100e9))
    result = load(BASELINE.with_name(f"smollm2_135m_standard_{engine}.json"))
    config = result.manifest.config
    asked = {task.name: task.problems for task in result.manifest.tasks}
    found = time_of(config, asked, machine(), tmp_path)
    measured = next(e.value for e in result.estimates if e.metric == "generation_s")
    assert found.generation_low_s < known(measured) < found.generation_high_s


# --- an earlier run ---------------------------------------------------------------------------


def test_rent_is_for_loading_too(tmp_path: Path) -> None:
    config = made_config(model="r1_distill_qwen_7b", pricing=conf("pricing", "auto"))
    found = time_of(config, {"math500": 100}, machine(H200), tmp_path)
    hourly = 3600 * known(found.usd) / (found.load_s + found.generation_s)
    price = re.search(r"usd_per_hour: ([\d.]+)", (CONF_DIR / "pricing/h200.yaml").read_text())
    assert hourly == pytest.approx(float(known(price)[1]))


def recorded(results_dir: Path, *gpus: str, config: RunConfig | None = None) -> RunResult:
    """A real run on two cores, as if this machine had made it, with such GPUs and so configured."""
    result = load(BASELINE)
    manifest = result.manifest.model_copy(update={"provenance": machine(*gpus)})
    if config is not None:
        (session,) = manifest.sessions
        engine = session.engine.model_copy(update={"name": config.engine.kind})
        sessions = (session.model_copy(update={"engine": engine}),)
        manifest = manifest.model_copy(update={"config": config, "sessions": sessions})
    folder = runs_dir(results_dir) / manifest.run_id
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    result = result.model_copy(update={"manifest": manifest})
    (folder / "result.json").write_text(result.model_dump_json())
    return result


def test_an_earlier_run_is_expected_again(tmp_path: Path) -> None:
    result = recorded(tmp_path)
    config = result.manifest.config
    asked = {task.name: task.problems for task in result.manifest.tasks}
    found = time_of(config, asked, machine(), tmp_path)
    measured = next(e.value for e in result.estimates if e.metric == "generation_s")
    assert found.basis == "earlier run"
    assert found.output_tokens == sum(known(each.completion_tokens) for each in result.outcomes)
    assert found.generation_s == pytest.approx(measured, rel=0.05)
    # Half of the problems take less, and most of the time that half of the answers take.
    half = time_of(config, {n: count // 2 for n, count in asked.items()}, machine(), tmp_path)
    assert known(measured) / 4 < half.generation_s < known(measured)


def test_an_earlier_run_that_was_resumed_loads_once_the_next_time(tmp_path: Path) -> None:
    result = recorded(tmp_path)
    (session,) = result.manifest.sessions
    file = runs_dir(tmp_path) / result.manifest.run_id / "result.json"
    resumed = result.manifest.model_copy(update={"sessions": (session, session)})
    figures = [
        each.model_copy(update={"value": 2 * known(session.engine.load_s)})
        if each.metric == "load_s"
        else each
        for each in result.estimates
    ]
    update = {"manifest": resumed, "estimates": tuple(figures)}
    file.write_text(result.model_copy(update=update).model_dump_json())
    found = time_of(result.manifest.config, {"humaneval": 20}, machine(), tmp_path)
    assert found.load_s == session.engine.load_s


def test_an_earlier_run_of_one_worker_is_half_as_fast_as_two(tmp_path: Path) -> None:
    def config(**changed: Any) -> RunConfig:
        return made_config("smollm2_135m", args={"max_num_seqs": 4}, **changed)

    recorded(tmp_path, H200, H200, config=config())
    here, asked = machine(H200, H200), {"math500": 400}
    one, two = (time_of(config(shards=count), asked, here, tmp_path) for count in (1, 2))
    assert one.basis == two.basis == "earlier run"
    assert two.generation_s == pytest.approx(one.generation_s / 2, rel=0.1)


@pytest.mark.parametrize(
    ("changed", "gpus"),
    [({"plan_for": "home_pc"}, []), ({"engine": "vllm"}, []), ({}, [H200])],
    ids=["another machine", "another engine", "other devices"],
)
def test_an_earlier_run_of_something_else_is_none(
    changed: dict[str, str], gpus: list[str], tmp_path: Path
) -> None:
    recorded(tmp_path)
    config = made_config(**{"model": "smollm2_135m", "engine": "transformers", **changed})
    found = time_of(config, {"math500": 3}, machine(*gpus), tmp_path)
    assert found.basis != "earlier run"
