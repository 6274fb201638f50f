"""What an engine runs with: read from vLLM's words, and set against another's."""

import re
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.analysis.comparison import Options, compare_sides, read_side
from harness.analysis.nightly.record import setting_changes, setting_of
from harness.engines.identity import identity, known_facts, unlike
from harness.engines.recorded_environment import PLACES, RECORDED, SET_ONLY, recorded
from harness.engines.transformers_engine import TransformersConfig
from harness.engines.vllm_settings import VLLM_SETTINGS, of_config, of_server
from harness.errors import NotComparableError, StoreError
from harness.machine.provenance import collect
from harness.records import EngineInfo
from harness.report.page.provenance import provenance
from harness.report.page.runs import ReportRun
from harness.runner.sessions import _check_same_machine
from harness.runner.shards.merge import Shard, _check_same_run
from harness.store.manifest import Session
from harness.store.result import RunResult, load
from tests.conf.test_compose import compose
from tests.engines import made_up_engine
from tests.facts import known, narrowed
from tests.unit.claim_runs import BASELINE

# Lines of vLLM 0.32 on an H100, cut to what is read; those before the engine's are its front's.
BEGINNING = (
    "(EngineCore pid=9) INFO 11-30 04:59:59 [core.py:133] Initializing a V1 LLM engine (v0.32.0) "
    "with config: model='/m', speculative_config={speculative}, dtype=torch.bfloat16, "
    "max_seq_len=34816, tensor_parallel_size=2, pipeline_parallel_size=1, data_parallel_size=1, "
    "quantization={quantization}, enforce_eager=False, kv_cache_dtype=auto, device_config=cuda, "
    "enable_prefix_caching=True, enable_chunked_prefill=True, compilation_config={{'mode': "
    "<CompilationMode.VLLM_COMPILE: 3>, 'cudagraph_mode': <CUDAGraphMode.FULL_AND_PIECEWISE: "
    "(2, 1)>, 'cudagraph_num_of_warmups': 1}}, kernel_config=KernelConfig()\n"
)
BACKEND = (
    "(Worker pid=9) INFO 07-28 10:03:02 [cuda.py:482] Using FLASH_ATTN attention backend out of "
    "potential backends: ['FLASH_ATTN', 'FLASHINFER', 'TRITON_ATTN'].\n"
)
CHOSEN = "(Worker pid=9) INFO 07-28 10:03:02 [cuda.py:446] Using FLASHINFER backend.\n"
CACHE = "(EngineCore pid=9) INFO 07-25 13:42:38 [kv.py:2146] GPU KV cache size: 1,823,372 tokens\n"
NGRAM = "SpeculativeConfig(method='ngram', model=None, num_spec_tokens=3)"
METRICS = (
    "# TYPE vllm:cache_config_info gauge\n"
    'vllm:cache_config_info{block_size="16",cache_dtype="fp8_e4m3",engine="0",'
    'enable_prefix_caching="True",gpu_memory_utilization="0.92",kv_cache_size_tokens="None",'
    'num_gpu_blocks="113960"} 1.0\n'
)


def begun(speculative: str = "None", quantization: str = "None") -> str:
    return BEGINNING.format(speculative=speculative, quantization=quantization)


@pytest.mark.parametrize(
    ("log", "metrics", "args", "told"),
    [
        ("", None, {}, {}),
        (begun() + BACKEND, None, {}, {"attention_backend": "FLASH_ATTN"}),
        (begun() + CHOSEN, None, {}, {"attention_backend": "FLASHINFER"}),
        (begun() + CACHE, None, {}, {"kv_cache_tokens": 1_823_372}),
        (begun(), METRICS, {}, {"kv_cache_blocks": 113_960, "kv_cache_dtype": "fp8_e4m3"}),
        (begun() + CACHE, METRICS, {}, {"kv_cache_tokens": 1_823_372}),
        (begun(), METRICS, {}, {"gpu_memory_utilization": 0.92, "kv_cache_tokens": None}),
        (begun(), None, {"max_num_seqs": 32}, {"max_num_seqs": 32}),
        (begun(), None, {}, {"max_num_seqs": None, "prefix_caching": True, "enforce_eager": False}),
        (begun(), None, {}, {"compilation_mode": "VLLM_COMPILE", "tensor_parallel_size": 2}),
        (begun(), None, {}, {"cudagraph_mode": "FULL_AND_PIECEWISE", "max_model_len": 34_816}),
        (begun(), None, {}, {"quantization": "none", "speculative_config": "none"}),
        (begun(quantization="fp8"), None, {}, {"quantization": "fp8"}),
        (begun(speculative=NGRAM), None, {}, {"speculative_config": NGRAM}),
        (begun() + "INFO [w.py:1] Using V2 Model Runner\n", None, {}, {"model_runner": "V2"}),
        (
            "WARNING [vllm.py:725] Model Runner V2 requires Triton; using the V1 model runner "
            "instead.\n" + begun(),
            None,
            {},
            {"model_runner": "V1"},
        ),
        (
            "WARNING [vllm.py:1] Async scheduling not supported with ngram-based speculative "
            "decoding and will be disabled.\n",
            None,
            {},
            {"async_scheduling": False},
        ),
    ],
)
def test_a_servers_words(
    log: str, metrics: str | None, args: dict[str, int], told: dict[str, object]
) -> None:
    found = of_server(log, metrics, args)
    assert tuple(found) == VLLM_SETTINGS
    assert {name: found[name] for name in told} == told


def test_a_version_of_vllm_without_a_field_leaves_it_unknown() -> None:
    config = SimpleNamespace(
        cache_config=SimpleNamespace(cache_dtype="auto", num_gpu_blocks=7),
        model_config=SimpleNamespace(quantization=None),
    )
    found = of_config(config)
    assert tuple(found) == VLLM_SETTINGS
    assert (found["kv_cache_blocks"], found["quantization"]) == (7, "none")
    assert found["max_num_seqs"] is None


def test_what_the_workers_say_holds_and_all_of_it() -> None:
    config = SimpleNamespace(compilation_config=SimpleNamespace(cudagraph_mode="FULL"))
    workers = [
        {"cudagraph_mode": "PIECEWISE", "attention_backend": "FLASH_ATTN", "block_size": None},
        {"cudagraph_mode": "PIECEWISE", "attention_backend": "TRITON_ATTN", "block_size": None},
    ]
    found = of_config(config, workers)
    assert found["cudagraph_mode"] == "PIECEWISE"
    assert found["attention_backend"] == "FLASH_ATTN, TRITON_ATTN"
    assert found["block_size"] is None


# --- the environment --------------------------------------------------------------------------


def test_only_allowed_variables_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "VLLM_BATCH_INVARIANT": "1",
        "VLLM_TUNED_CONFIG_FOLDER": "/home/someone/tuned",
        "VLLM_API_KEY": "key-of-the-server",
        "VLLM_HOST_IP": "10.0.0.1",
        "HF_TOKEN": "hf_secretsecret",
        "HOME": "/home/someone",
    }
    assert recorded(environment) == {
        "VLLM_BATCH_INVARIANT": "1",
        "VLLM_TUNED_CONFIG_FOLDER": "set",
    }


def test_a_secret_in_an_allowed_variable_is_struck_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secretsecret")
    assert recorded({"OMP_PLACES": "hf_secretsecret"}) == {"OMP_PLACES": "***"}


# Where something is, who may have it, what is written down, how long is waited, pictures and
# sound, and other people's machinery: none of it moves a number of ours.
_MOVES_NOTHING = re.compile(
    r"KEY|TOKEN(?!S|_THRESHOLD)|URL|HOST|PORT$|_IPS?$|PATH|_ROOT|_DIR$|CACHE$|SERVER|LOG|DEBUG"
    r"|TIMEOUT|_TTL|_TRACK|USAGE|BUILD|IMAGE|AUDIO|VIDEO|MEDIA|EMBED_DECODE|LORA|MOONCAKE|P2P_"
    r"|NIXL|RAY_(?!WRAPPED|COMPILED|V2)|DP_|GPT_OSS|TOOL|PARSER|VALIDATION|COHERE|RESPONSES"
    r"|ASSETS|PRECOMPILED|CUDA_VERSION|NIC_|MODELSCOPE|START_DATE|INSECURE|TPU|XLA|REGEX|OUTLINES"
    r"|XGRAMMAR|SCOPES|EVENTS|PLUGINS|DEATH|NANS|RUST|BAD_WORDS|STOP_STRINGS|COMPLETION_PROMPTS"
    r"|N_SEQUENCES|PREFIX$|RANDOMIZATION|RINGBUFFER|MULTIPROC_METHOD|ELASTIC|SAVE_FORMAT"
    r"|VERSION_SUFFIX|SHM_BUFFER|FASTSAFETENSORS"
)


@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vllm")
def test_every_variable_of_vllm_is_either_recorded_or_of_no_matter() -> None:
    """When this fails with a new vLLM: put what moves a number on the list, the rest in here."""
    source = Path(known(known(find_spec("vllm")).origin)).with_name("envs.py").read_text("utf-8")
    names = set(re.findall(r'^ {4}"?(VLLM_[A-Z0-9_]+)"?:', source, re.MULTILINE))
    assert "VLLM_BATCH_INVARIANT" in names
    left = {name for name in names - RECORDED if not _MOVES_NOTHING.search(name)}
    assert left == set()
    # A name of the list that vLLM has no more is of an older one, or misspelt.
    assert {n for n in RECORDED if n.startswith("VLLM_")} - names == set()


def test_no_allowed_name_can_hold_a_secret_or_an_address() -> None:
    doubtful = re.compile(r"KEY|SECRET|PASSWORD|URL|HOST|_IPS?$|PATH|FOLDER|_DIR$")
    assert {name for name in RECORDED if doubtful.search(name)} <= SET_ONLY


# --- alike or not -----------------------------------------------------------------------------


def engine(settings: dict[str, Any] | None = None, **environment: str) -> EngineInfo:
    return made_up_engine(
        settings={"max_num_seqs": 256, **(settings or {})}, environment=environment
    )


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        (engine(), engine(), []),
        (engine(), engine(VLLM_BATCH_INVARIANT="1"), ["environment.VLLM_BATCH_INVARIANT"]),
        (
            engine({"attention_backend": "FLASH_ATTN"}),
            engine({"attention_backend": "FLASHINFER"}),
            ["settings.attention_backend"],
        ),
        # What one side does not tell is neither equal nor different.
        (engine({"attention_backend": None}), engine({"attention_backend": "FLASHINFER"}), []),
        (engine(), engine().model_copy(update={"settings": {}}), []),
        # What differs from night to night by itself.
        (engine({"kv_cache_tokens": 1000}), engine({"kv_cache_tokens": 2000}), []),
        (engine(CUDA_VISIBLE_DEVICES="0"), engine(CUDA_VISIBLE_DEVICES="3"), []),
    ],
)
def test_alike_or_not(one: EngineInfo, other: EngineInfo, names: list[str]) -> None:
    assert [each.name for each in unlike(one, other)] == names


def test_what_varies_by_itself_is_shown_all_the_same() -> None:
    facts = known_facts(engine({"kv_cache_tokens": 1000}, CUDA_VISIBLE_DEVICES="0"))
    assert facts["settings.kv_cache_tokens"] == 1000
    assert facts["environment.CUDA_VISIBLE_DEVICES"] == "0"
    assert set(identity(engine({"kv_cache_tokens": 1000}, CUDA_VISIBLE_DEVICES="0"))) == {
        "settings.max_num_seqs"
    }
    assert PLACES <= RECORDED


# --- who looks at it --------------------------------------------------------------------------


def run_with(folder: Path, name: str, info: EngineInfo) -> tuple[RunResult, Path]:
    """A real result whose engine is another."""
    result = load(BASELINE)
    sessions = tuple(
        session.model_copy(update={"engine": info}) for session in result.manifest.sessions
    )
    manifest = result.manifest.model_copy(update={"run_id": name, "sessions": sessions})
    result = result.model_copy(update={"manifest": manifest})
    file = folder / f"{name}.json"
    file.write_text(result.model_dump_json())
    return result, file


PLAIN = engine({"kv_cache_tokens": 1000, "attention_backend": "FLASH_ATTN"})
OTHER_CACHE = engine({"kv_cache_tokens": 2000, "attention_backend": "FLASH_ATTN"})
INVARIANT = engine(
    {"kv_cache_tokens": 1000, "attention_backend": "TRITON_ATTN"}, VLLM_BATCH_INVARIANT="1"
)
BATCH_INVARIANT = "environment.VLLM_BATCH_INVARIANT"
SILENT = PLAIN.model_copy(update={"settings": {}})


@pytest.mark.parametrize(
    ("other", "fields"),
    [
        (PLAIN, set()),
        (OTHER_CACHE, {"engine.settings.kv_cache_tokens"}),
        (INVARIANT, {f"engine.{name}" for name in ("settings.attention_backend", BATCH_INVARIANT)}),
        (SILENT, {"engine.settings"}),
    ],
    ids=["the same", "other cache", "batch invariant", "not recorded"],
)
def test_compare_names_what_differs(tmp_path: Path, other: EngineInfo, fields: set[str]) -> None:
    sides = [
        read_side(str(run_with(tmp_path, name, info)[1]), tmp_path)
        for name, info in (("one", PLAIN), ("other", other))
    ]
    (candidate,) = compare_sides(sides[0], sides[1:], Options()).candidates
    assert {each.field for each in candidate.subject_differences} == fields


def test_another_setting_begins_a_new_series_of_nights_and_another_cache_does_not(
    tmp_path: Path,
) -> None:
    plain, cache, invariant = (
        setting_of(run_with(tmp_path, "night", info)[0]) for info in (PLAIN, OTHER_CACHE, INVARIANT)
    )
    assert plain == cache
    assert plain != invariant
    assert invariant["engine.environment.VLLM_BATCH_INVARIANT"] == "1"


def test_what_an_engine_does_not_tell_for_a_night_begins_no_new_series(tmp_path: Path) -> None:
    untold = engine({"kv_cache_tokens": 1000, "attention_backend": None})
    plain, gap, silent, invariant = (
        setting_of(run_with(tmp_path, "night", info)[0])
        for info in (PLAIN, untold, SILENT, INVARIANT)
    )
    assert setting_changes(plain, gap) == setting_changes(gap, plain) == []
    assert setting_changes(plain, silent) == setting_changes(silent, invariant) == []
    assert {each.field for each in setting_changes(plain, invariant)} == {
        "engine.settings.attention_backend",
        f"engine.{BATCH_INVARIANT}",
    }


def test_what_an_engine_resolved_is_its_setting_and_not_the_auto_that_was_asked(
    tmp_path: Path,
) -> None:
    result, _ = run_with(tmp_path, "night", PLAIN)
    auto = narrowed(TransformersConfig, compose("experiment=demo", "engine=transformers").engine)
    assert (auto.device, auto.dtype) == ("auto", "auto")
    config = result.manifest.config.model_copy(update={"engine": auto})
    manifest = result.manifest.model_copy(update={"config": config})
    setting = setting_of(result.model_copy(update={"manifest": manifest}))
    assert setting["engine.device"] == f"{PLAIN.device_count} x {PLAIN.device_name}"
    assert setting["engine.dtype"] == PLAIN.dtype
    assert setting["engine.max_batch_size"] == str(auto.max_batch_size)


def test_the_page_shows_all_of_it(tmp_path: Path) -> None:
    runs = [
        ReportRun(letter, *run_with(tmp_path, letter, info), folder=None)
        for letter, info in (("A", PLAIN), ("B", INVARIANT))
    ]
    facts = {fact.label: fact for fact in provenance(runs)}
    assert facts["engine: attention backend"].values == ("FLASH_ATTN", "TRITON_ATTN")
    assert facts["VLLM_BATCH_INVARIANT"].values == ("-", "1")
    assert facts["engine: kv cache tokens"].differs is False


def test_a_run_is_not_resumed_under_another_setting() -> None:
    began = Session(
        started_at=datetime.now(UTC), clock_start_s=0, engine=PLAIN, provenance=collect()
    )
    setup: Any = SimpleNamespace(
        run=SimpleNamespace(run_id="RUN"),
        manifest=SimpleNamespace(config=SimpleNamespace(engine=SimpleNamespace(is_local=True))),
    )
    _check_same_machine(setup, [began], OTHER_CACHE)
    with pytest.raises(StoreError, match=r"environment\.VLLM_BATCH_INVARIANT=None, .*1"):
        _check_same_machine(setup, [began], INVARIANT)


def test_shards_with_other_settings_are_not_joined(tmp_path: Path) -> None:
    def shard(name: str, info: EngineInfo) -> Shard:
        folder = tmp_path / name
        folder.mkdir()
        for file in ("problems.jsonl", "prompts.jsonl"):
            (folder / file).touch()
        run: Any = SimpleNamespace(folder=folder, shown=name)
        return Shard(run, run_with(tmp_path, name, info)[0].manifest)

    one = shard("one", PLAIN)
    _check_same_run(one, shard("two", OTHER_CACHE))
    with pytest.raises(NotComparableError, match=r"engine\.environment\.VLLM_BATCH_INVARIANT"):
        _check_same_run(one, shard("three", INVARIANT))
