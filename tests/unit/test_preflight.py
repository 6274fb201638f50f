"""What is known to fail before anything is loaded."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.engines.vllm_config import VllmKnobs
from harness.errors import ConfigError, StoreError, UnavailableError
from harness.machine import hardware
from harness.machine.provenance import GpuInfo, Provenance, collect
from harness.models import missing_hub_files
from harness.models.description import HubModel, ModelConfig
from harness.models.memory import kv_bytes_per_token
from harness.runner.plan import plan
from harness.runner.preflight import (
    FreeMemory,
    check_disk,
    check_memory,
    check_requirements,
    disk_note,
    draft_to_fetch,
    free_memory,
    is_offline,
    memory_needed_bytes,
    memory_notes,
    no_network,
    plan_memory,
    refuse_missing,
    written_bytes,
)
from harness.runner.preflight.missing import OFFLINE_VARIABLES
from harness.runner.preflight.sizes import sizes_of
from tests.conf.test_compose import compose
from tests.facts import known, mentions, narrowed


def machine(memory_gb: float = 24, gpus: Sequence[float] = ()) -> Provenance:
    found = collect()
    return found.model_copy(
        update={
            "memory_bytes": int(memory_gb * 1e9),
            "cpu": "Some CPU",
            "gpus": tuple(
                GpuInfo(name="NVIDIA H200", memory_bytes=int(gb * 1e9), driver="1") for gb in gpus
            ),
        }
    )


@pytest.fixture(autouse=True)
def has_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever processor the tests run on."""
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: True)


def test_weights_and_one_context_are_what_a_model_needs() -> None:
    config = compose("model=r1_distill_qwen_1_5b")
    assert memory_needed_bytes(config.model, config.engine, 34_816) == (
        2 * 1_777_088_000 + 34_816 * 28_672
    )


@pytest.mark.parametrize(
    ("overrides", "gpus", "fits"),
    [
        (["model=r1_distill_llama_70b", "engine=vllm"], [150], False),
        (["model=r1_distill_llama_70b", "engine=vllm"], [150, 150], False),
        (
            ["model=r1_distill_llama_70b", "engine=vllm", "+engine.args.tensor_parallel_size=2"],
            [150, 150],
            True,
        ),
        (
            ["model=r1_distill_llama_70b", "engine=vllm", "+engine.args.quantization=fp8"],
            [150],
            True,
        ),
        (["model=r1_distill_qwen_32b", "engine=vllm"], [150], True),
        (["model=r1_distill_qwen_7b", "engine=transformers", "engine.device=cpu"], [150], True),
        (["model=r1_distill_qwen_14b", "engine=transformers"], [], False),
    ],
)
def test_a_model_must_fit(overrides: list[str], gpus: list[int], fits: bool) -> None:
    config = compose(*overrides)
    if fits:
        check_memory(config, machine(gpus=gpus), free(24))
        return
    with pytest.raises(UnavailableError, match=r"^model=r1_distill_\w+ .*\d+ GB "):
        check_memory(config, machine(gpus=gpus), free(24))


def test_too_small_a_gpu_is_named_with_what_would_be_right() -> None:
    config = compose("model=r1_distill_llama_70b", "engine=vllm")
    with pytest.raises(UnavailableError) as error:
        check_memory(config, machine(gpus=[150]))
    assert mentions(
        str(error.value),
        *("model=r1_distill_llama_70b ", "153 GB", "34816 tokens", "1 x NVIDIA H200", "150 GB"),
        *("+engine.args.quantization=…", "+engine.args.tensor_parallel_size=…"),
    )


def test_a_disk_without_room_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 5 << 20))
    with pytest.raises(StoreError) as error:
        check_disk(tmp_path / "not" / "there" / "yet")
    assert mentions(str(error.value), f"results_dir={tmp_path}/not/there/yet: ", "5 MiB", "64 MiB")


@pytest.mark.parametrize(
    ("gpus", "here"),
    [((), "none"), ((40,), "NVIDIA H200 (40 GB)"), ((141, 40), None), ((141,), None)],
)
def test_an_experiment_refuses_a_machine_that_it_is_not_meant_for(
    gpus: tuple[int, ...], here: str | None
) -> None:
    config = compose("requires={gpus: 1, gpu_memory_bytes: 80e9}")
    if here is None:
        check_requirements(config, machine(gpus=gpus))
        return
    with pytest.raises(UnavailableError) as caught:
        check_requirements(config, machine(gpus=gpus))
    assert mentions(
        str(caught.value),
        *("requires.gpus=1: ", "1 NVIDIA GPU", "80 GB", here, "--dry-run", "requires=null"),
    )


# --- how much fits at once ----------------------------------------------------------------------

GB = 10**9


def free(cpu_gb: float = 24.0, gpus_gb: Sequence[float] | None = None) -> FreeMemory:
    gpus = None if gpus_gb is None else tuple(int(gb * GB) for gb in gpus_gb)
    return FreeMemory(int(cpu_gb * GB), gpus)


def test_more_contexts_take_more_memory() -> None:
    config = compose("model=r1_distill_qwen_1_5b")
    one = memory_needed_bytes(config.model, config.engine, 34_816)
    two = memory_needed_bytes(config.model, config.engine, 34_816, concurrent=2)
    assert known(two) - known(one) == 34_816 * 28_672


def test_a_plan_says_how_many_full_contexts_fit_beside_the_weights() -> None:
    config = compose("model=r1_distill_qwen_7b", "engine=vllm")
    plan = plan_memory(config, machine(gpus=[80]), free(gpus_gb=[79]))
    context = 34_816 * 2 * 28 * 4 * 128 * 2
    # 16,384 tokens at once through gate, up, product and four hidden states in two bytes each;
    # 1,024 sequences' logits in the sampler's 20 bytes; 1 GiB for graphs
    own = 16_384 * 2 * (3 * 18_944 + 4 * 3_584) + 1_024 * 152_064 * 20 + (1 << 30)
    left = int(80e9 * 0.92) - 2 * 7_615_616_512 - own
    assert (known(plan).context_bytes, known(plan).cache_bytes) == (context, left)
    assert known(plan).contexts == left // context
    assert known(plan).at_once == 1_024


@pytest.mark.parametrize(
    ("model", "gpu_gb", "gpus", "fits"),
    [
        # what docs/gpu.md says of each distill; sizes as nvidia-smi gives them, in bytes
        ("qwen_1_5b", 8.58, 1, True),
        ("qwen_7b", 25.75, 1, True),
        ("llama_8b", 25.75, 1, True),
        ("qwen_14b", 48.3, 1, True),
        ("qwen_14b", 25.75, 1, False),
        ("qwen_32b", 85.5, 1, False),
        ("qwen_32b", 85.5, 2, True),
        ("qwen_32b", 150.75, 1, True),
        ("llama_70b", 150.75, 2, True),
        ("llama_70b", 85.5, 2, False),
        ("llama_70b", 85.5, 4, True),
    ],
)
def test_a_context_must_fit_beside_weights_activations_and_graphs(
    model: str, gpu_gb: float, gpus: int, fits: bool
) -> None:
    config = compose(
        f"model=r1_distill_{model}", "engine=vllm", f"+engine.args.tensor_parallel_size={gpus}"
    )
    given = (config, machine(gpus=[gpu_gb] * gpus), free(gpus_gb=[gpu_gb - 0.5] * gpus))
    if fits:
        check_memory(*given)
        return
    with pytest.raises(UnavailableError):
        check_memory(*given)


@pytest.mark.parametrize(
    ("engine", "name", "gpu_gb", "batch"),
    [
        ("vllm", "NVIDIA H200", 150, (16_384, 1_024)),
        ("vllm_server", "NVIDIA H200", 150, (8_192, 1_024)),
        ("vllm", "NVIDIA A100-SXM4-80GB", 85, (8_192, 256)),
        ("vllm_server", "NVIDIA L40S", 48, (2_048, 256)),
        ("vllm_server", "NVIDIA B200", 191, (16_384, 1_024)),
        ("vllm", "", None, (4_096, 256)),
        ("vllm_server", "", None, (2_048, 128)),
    ],
)
def test_the_batch_of_a_step_is_vllms_own(
    engine: str, name: str, gpu_gb: int | None, batch: tuple[int, int]
) -> None:
    config = compose("model=r1_distill_qwen_7b", f"engine={engine}")
    assert isinstance(config.engine, VllmKnobs)
    assert config.engine.default_batch(name, gpu_gb and gpu_gb * GB) == batch


DRAFT = "+engine.args.speculative_config={method: eagle3, model: %s}"


@pytest.mark.parametrize(
    ("files", "more", "is_refused"),
    [
        (["pytorch_model.bin", "config.json"], [], True),
        (["model.safetensors", "config.json"], [], False),
        (["pytorch_model.bin"], ["+engine.args.load_format=auto"], False),
    ],
)
def test_a_draft_without_safetensors_is_refused(
    tmp_path: Path, files: list[str], more: list[str], is_refused: bool
) -> None:
    for file in files:
        (tmp_path / file).touch()
    config = compose("model=r1_distill_llama_8b", "engine=vllm", DRAFT % tmp_path, *more)
    if not is_refused:
        config.engine.check_draft()
        return
    with pytest.raises(UnavailableError, match=r"speculative_config\.model=.*safetensors"):
        config.engine.check_draft()


@pytest.mark.parametrize("check", [lambda engine: engine.check_draft(), draft_to_fetch])
@pytest.mark.parametrize("name", ["/models/no-such-head", "./no-such-head", "no--head"])
def test_a_draft_that_is_neither_a_folder_nor_a_repository_is_one_line(
    check: Callable[..., object], name: str
) -> None:
    config = compose("model=r1_distill_llama_8b", "engine=vllm", DRAFT % name)
    with pytest.raises(ConfigError, match=rf"^engine\.args\.speculative_config\.model={name}: "):
        check(config.engine)


def test_ngram_drafts_need_no_model() -> None:
    given = "+engine.args.speculative_config={model: '[ngram]', num_speculative_tokens: 2}"
    config = compose("model=r1_distill_llama_8b", "engine=vllm", given)
    config.engine.check_draft()
    assert draft_to_fetch(config.engine) is None


def test_a_draft_is_not_checked_where_the_hub_cannot_be_reached(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    # The hub's library tries again for half a minute, and then raises its client's own error.
    client_error = HfHubHTTPError.__bases__[0]

    def refuse(*_: object, **__: object) -> None:
        raise client_error("connection refused")

    assert not issubclass(client_error, OSError)

    monkeypatch.setattr(HfApi, "list_repo_files", refuse)
    config = compose("model=r1_distill_llama_8b", "engine=vllm", DRAFT % "some/head")
    config.engine.check_draft()


def test_a_draft_is_here_when_its_revision_is(hub_cache: Path) -> None:
    pinned = "+engine.args.speculative_config={method: eagle3, model: some/head, revision: %s}"
    here, other = "a" * 40, "b" * 40
    cached(hub_cache, "some/head", here, config__json="{}")
    given = ("model=r1_distill_llama_8b", "engine=vllm")
    assert draft_to_fetch(compose(*given, pinned % here).engine) is None
    assert draft_to_fetch(compose(*given, pinned % other).engine) == ("some/head", other)


def test_each_copy_of_a_model_lies_on_its_own_gpus() -> None:
    """Two copies of what one GPU holds: a plan of both together would have one of them too many."""
    given = ("model=r1_distill_qwen_32b", "engine=vllm")
    one = plan_memory(compose(*given), machine(gpus=[80]), free(gpus_gb=[79]))
    copies = compose(*given, "+engine.args.data_parallel_size=2")
    assert plan_memory(copies, machine(gpus=[80, 80]), free(gpus_gb=[79, 79])) == one
    large = compose("model=r1_distill_llama_70b", *given[1:], "+engine.args.data_parallel_size=2")
    with pytest.raises(UnavailableError, match="1 x NVIDIA H200 has 80 GB"):
        check_memory(large, machine(gpus=[80, 80]), free(gpus_gb=[79, 79]))


@pytest.mark.parametrize(
    ("overrides", "gpus", "width"),
    [
        (["engine=transformers"], [], 4),
        (["engine=transformers", "engine.device=cpu"], [80], 4),
        (["engine=vllm"], [], 4),
        (["engine=vllm", "engine.dtype=bfloat16"], [], 2),
        (["engine=vllm"], [80], 2),
        (["engine=vllm", "+engine.args.quantization=fp8"], [], 1),
    ],
    ids=str,
)
def test_a_cpu_without_bfloat16_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch, overrides: list[str], gpus: list[int], width: int
) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: False)
    config = compose("model=r1_distill_qwen_1_5b", *overrides)
    plan = plan_memory(config, machine(gpus=gpus), free(gpus_gb=gpus))
    assert known(plan).weights_bytes == width * 1_777_088_000
    # keys and values are no weights: fp8 is theirs only where it is asked for
    assert known(plan).context_bytes == 34_816 * 28_672 * max(width, 2) // 2


def test_the_memory_of_a_plan_is_that_of_the_machine_it_is_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: False)
    given = ("model=r1_distill_qwen_1_5b", "engine=transformers", "engine.device=cpu")
    here, elsewhere = compose(*given), compose(*given, "plan_for=h200")
    line = "memory     {:.1f} GB "
    needed = (2 * 1_777_088_000 + 34_816 * 28_672) / 1e9
    assert line.format(2 * needed) in "\n".join(plan(here, free()).lines)
    assert line.format(needed) in "\n".join(plan(elsewhere, free()).lines)


def test_a_process_that_may_use_no_gpu_is_planned_on_the_cpu() -> None:
    config = compose("model=r1_distill_qwen_1_5b", "engine=transformers")
    plan = plan_memory(config, machine(gpus=[80]), free(cpu_gb=20, gpus_gb=()))
    assert (known(plan).device, known(plan).free_bytes) == ("this machine (Some CPU)", 20 * GB)


@pytest.mark.parametrize(
    ("overrides", "gpus", "now", "facts"),
    [
        (
            ["model=r1_distill_qwen_7b", "engine=vllm"],
            [80],
            free(gpus_gb=[10]),
            "model=r1_distill_qwen_7b … 17 GB … 34816 tokens … 1 x NVIDIA H200 … 80 GB … 10.0 GB",
        ),
        (
            ["model=r1_distill_qwen_7b", "engine=vllm"],
            [80],
            free(gpus_gb=[60.5]),
            "engine.args.gpu_memory_utilization=0.92: … 74 GB … 1 x NVIDIA H200 … 60 GB … "
            "+engine.args.gpu_memory_utilization=0.75",
        ),
        (
            ["model=r1_distill_qwen_7b", "engine=vllm", "+engine.args.gpu_memory_utilization=0.2"],
            [80],
            free(gpus_gb=[79]),
            "engine.args.gpu_memory_utilization=0.2: … 34816 tokens … 2.0 GB … 0.0 GB … "
            "protocol.max_new_tokens",
        ),
        (
            ["model=r1_distill_qwen_7b", "engine=vllm_server", "engine.dtype=float32"],
            [],
            free(cpu_gb=24),
            "model=r1_distill_qwen_7b … 34 GB … 34816 tokens … (Some CPU) … 24 GB … "
            "+engine.args.quantization=… … +engine.args.tensor_parallel_size=…",
        ),
        (
            ["model=r1_distill_qwen_1_5b", "engine=vllm", "engine.dtype=float32"],
            [],
            free(cpu_gb=20),
            "VLLM_CPU_KVCACHE_SPACE=1: … 34816 tokens … 2.0 GB … 2 (GiB)",
        ),
    ],
)
def test_what_is_not_free_is_refused_with_what_would_be_right(
    overrides: list[str],
    gpus: list[int],
    now: FreeMemory,
    facts: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    with pytest.raises(UnavailableError) as caught:
        check_memory(compose(*overrides), machine(gpus=gpus), now)
    assert str(caught.value).startswith(facts.split(" … ", maxsplit=1)[0])
    assert mentions(str(caught.value), facts)


@pytest.mark.parametrize(
    ("overrides", "cpu_gb", "requests", "note"),
    [
        (["engine=transformers"], 24, 40, None),
        (["engine=transformers"], 5.0, 1, None),
        (["engine=transformers"], 5.0, 40, "one … 34816 tokens"),
        (
            ["engine=transformers", "engine.batch_tokens=1000000"],
            10,
            40,
            "28 … 6 … engine.max_batch_size=6",
        ),
    ],
)
def test_what_will_be_slow_is_said(
    overrides: list[str], cpu_gb: float, requests: int, note: str | None
) -> None:
    config = compose("model=r1_distill_qwen_1_5b", *overrides)
    plan = plan_memory(config, machine(), free(cpu_gb=cpu_gb))
    notes = memory_notes(known(plan), config, requests)
    assert len(notes) == (note is not None)
    assert note is None or mentions(notes[0], note)


def test_what_is_free_here_is_read() -> None:
    found = free_memory()
    assert 0 < found.cpu_bytes < collect().memory_bytes


# --- the disk in the worst case -------------------------------------------------------------------


def test_a_long_run_is_weighed_against_the_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import shutil

    at_most = written_bytes(compose("protocol=deepseek_r1").protocol, 500 * 64)
    assert at_most == 32_000 * (32_768 * 4.5 + 2_000)  # 4.8 GB
    sizes = iter([10 * GB, GB, GB, 80_000_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, next(sizes)))
    assert disk_note(tmp_path, at_most) is None
    assert mentions(
        disk_note(tmp_path, at_most) or "", f"results_dir={tmp_path}: ", "1.0 GB", "4.8 GB"
    )
    check_disk(tmp_path, at_most)
    with pytest.raises(StoreError, match=r"80 MB .* 4\.8 GB"):
        check_disk(tmp_path, at_most)


# --- without the network --------------------------------------------------------------------------


@pytest.fixture
def hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub, and no mirror of any task."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HARNESS_DATA_DIR", raising=False)
    return tmp_path


def cached(cache: Path, hub_id: str, revision: str, **files: str) -> None:
    """Puts files where ``huggingface_hub`` keeps those of a commit."""
    folder = cache / f"models--{hub_id.replace('/', '--')}" / "snapshots" / revision
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_everything_missing_is_listed_at_once(hub_cache: Path) -> None:
    config = compose(
        "offline=true",
        "model=r1_distill_qwen_7b",
        "engine=vllm",
        "+engine.args.speculative_config={method: eagle3, model: some/head}",
        "tasks=[humaneval,math500]",
    )
    cached(
        hub_cache,
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
        narrowed(HubModel, config.model).revision,
        config__json="{}",
        tokenizer__json="{}",
        model__safetensors__index__json='{"weight_map": {"a": "one.safetensors", '
        '"b": "two.safetensors"}}',
        one__safetensors="",
    )
    with pytest.raises(UnavailableError) as caught:
        refuse_missing(config)
    first, model, draft, task = str(caught.value).split("\n")
    assert first.startswith("offline=true: 3 ")
    assert model == (
        "  model r1_distill_qwen_7b: two.safetensors; hf download "
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B "
        f"--revision {narrowed(HubModel, config.model).revision}"
    )
    assert mentions(draft, "  some/head", "engine.args.speculative_config", "hf download some/head")
    assert mentions(
        task,
        "  task math500: HuggingFaceH4/MATH-500",
        "; python -c",
        "math500.jsonl",
        "HARNESS_DATA_DIR",
    )


@pytest.mark.parametrize(
    ("files", "lacks"),
    [
        ({}, ["config.json", "tokenizer.json", "*.safetensors"]),
        ({"config__json": "{}", "vocab__json": "{}"}, ["*.safetensors"]),
        ({"config__json": "{}", "tokenizer__json": "{}", "model__safetensors": ""}, []),
    ],
)
def test_a_checkpoint_is_here_when_all_of_it_is(
    hub_cache: Path, files: dict[str, str], lacks: list[str]
) -> None:
    model = narrowed(HubModel, compose("model=r1_distill_qwen_1_5b").model)
    cached(hub_cache, model.hub_id, model.revision, **files)
    assert missing_hub_files(model) == lacks
    assert missing_hub_files(model, with_weights=False) == lacks[: 2 if len(lacks) == 3 else 0]


def test_offline_asks_no_network_and_leaves_everything_as_it_was(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    import huggingface_hub

    for name in OFFLINE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    with no_network():
        assert huggingface_hub.constants.is_offline_mode()
        assert os.environ["HF_HUB_OFFLINE"] == "1"
        with pytest.raises(huggingface_hub.errors.OfflineModeIsEnabled):
            huggingface_hub.HfApi().model_info("some/model")
    assert before == huggingface_hub.constants.HF_HUB_OFFLINE
    assert "HF_HUB_OFFLINE" not in os.environ


def test_the_hubs_own_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert is_offline(compose())


QWEN = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "vocab_size": 300,
}


def a_folder(
    folder: Path, config: object, shapes: Sequence[tuple[int, ...]] = ((300, 64), (64,))
) -> ModelConfig:
    """A checkpoint: its config, and weight files of which only the headers matter."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for number, shape in enumerate(shapes):
        save_file({f"w{number}": np.zeros(shape, "f")}, folder / f"{number}.safetensors")
    return compose("model=local", f"model.path={folder}", "engine=transformers").model


def test_a_folders_sizes_are_read_from_its_files(tmp_path: Path) -> None:
    found = sizes_of(a_folder(tmp_path / "m", QWEN))
    assert found.parameters == 300 * 64 + 64
    assert kv_bytes_per_token(known(found.shape)) == 2 * 2 * 2 * 16 * 2


@pytest.mark.parametrize(
    "more",
    [
        {"head_dim": 32},
        {"kv_lora_rank": 512},
        {"layer_types": ["full_attention", "sliding_attention"]},
        {"sliding_window": 4096},
        {"hidden_size": None},
        {"num_attention_heads": 0},
    ],
)
def test_a_shape_that_the_formula_does_not_fit_is_unknown(
    tmp_path: Path, more: dict[str, object]
) -> None:
    found = sizes_of(a_folder(tmp_path / "m", {**QWEN, **more}))
    assert (found.parameters, found.shape) == (300 * 64 + 64, None)


def test_a_window_that_is_not_used_changes_nothing(tmp_path: Path) -> None:
    config = {**QWEN, "sliding_window": 4096, "use_sliding_window": False}
    assert sizes_of(a_folder(tmp_path / "m", config)).shape is not None


@pytest.mark.parametrize("broken", [b"", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0[]"])
def test_a_broken_folder_has_unknown_sizes(tmp_path: Path, broken: bytes) -> None:
    model = a_folder(tmp_path / "m", QWEN)
    (tmp_path / "m" / "9.safetensors").write_bytes(broken)
    assert sizes_of(model) == (None, None)
    assert sizes_of(a_folder(tmp_path / "q", {**QWEN, "quantization_config": {}})) == (None, None)


def test_a_folder_that_needs_more_than_there_is_is_refused(tmp_path: Path) -> None:
    a_folder(tmp_path / "m", QWEN)
    config = compose(
        "model=local",
        f"model.path={tmp_path / 'm'}",
        "engine=transformers",
        "protocol.max_new_tokens=1000000000",
    )
    with pytest.raises(UnavailableError, match=r"^model=m needs about 256 GB"):
        check_memory(config, machine(), FreeMemory(20 * 10**9, ()))
