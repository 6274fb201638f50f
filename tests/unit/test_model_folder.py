"""A model folder is what it says, or it is refused before anything is loaded."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from safetensors.numpy import save_file

from harness.errors import ConfigError, UnavailableError
from harness.models import HubModel, LocalModel, ModelConfig, resolve
from harness.models.chat_tokenizer import Codec
from harness.models.folder import (
    FolderError,
    check_folder,
    context_tokens,
    facts_of,
    stop_token_ids,
)
from harness.models.memory import kv_bytes_per_token
from tests.unit.tiny_model import save_tiny

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
LLAMA = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 8,
    "intermediate_size": 16,
    "vocab_size": 10,
    "max_position_embeddings": 64,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file({"a": np.zeros((4, 4), np.float32)}, tmp_path / "model.safetensors")
    return tmp_path


def cut(file: Path, keep: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])


def index(folder: Path, weight_map: dict[str, str]) -> None:
    (folder / "model.safetensors").rename(folder / "model-1.safetensors")
    file = folder / "model.safetensors.index.json"
    file.write_text(json.dumps({"weight_map": weight_map}))


def only_an_adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "model.safetensors").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/base"}')


FAULTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no config": ("config.json", lambda f: (f / "config.json").unlink()),
    "broken config": ("config.json", lambda f: cut(f / "config.json", 0.5)),
    "config is a list": ("config.json", lambda f: (f / "config.json").write_text("[]")),
    "config in Latin-1": (
        "config.json",
        lambda f: (f / "config.json").write_bytes(b'{"a":"\xe9"}'),
    ),
    "broken generation config": (
        "generation_config.json",
        lambda f: (f / "generation_config.json").write_text('{"eos_token_id": 2'),
    ),
    "eos in words": (
        "generation_config.json",
        lambda f: (f / "generation_config.json").write_text('{"eos_token_id": "two"}'),
    ),
    "broken tokenizer config": (
        "tokenizer_config.json",
        lambda f: (f / "tokenizer_config.json").write_text(""),
    ),
    "no weights": ("*.safetensors", lambda f: (f / "model.safetensors").unlink()),
    "half the weights": ("model.safetensors", lambda f: cut(f / "model.safetensors", 0.7)),
    "half a header": ("model.safetensors", lambda f: cut(f / "model.safetensors", 0.2)),
    "empty weights": ("model.safetensors", lambda f: (f / "model.safetensors").write_bytes(b"")),
    "weights are a page": (
        "model.safetensors",
        lambda f: (f / "model.safetensors").write_text("<!DOCTYPE html><p>no such file</p>"),
    ),
    "header of lies": (
        "model.safetensors",
        lambda f: (f / "model.safetensors").write_bytes(struct.pack("<Q", 9) + b'{"a": [1]}'[:9]),
    ),
    "weights not fetched": (
        "model.safetensors",
        lambda f: (f / "model.safetensors").write_text(POINTER),
    ),
    "config not fetched": ("config.json", lambda f: (f / "config.json").write_text(POINTER)),
    "tokenizer not fetched": (
        "tokenizer.json",
        lambda f: (f / "tokenizer.json").write_text(POINTER),
    ),
    "a shard is missing": (
        "model-2.safetensors",
        lambda f: index(f, {"a": "model-1.safetensors", "b": "model-2.safetensors"}),
    ),
    "a shard lacks a tensor": (
        "model-1.safetensors",
        lambda f: index(f, {"a": "model-1.safetensors", "b": "model-1.safetensors"}),
    ),
    "an adapter beside weights": (
        "adapter_config.json",
        lambda f: (f / "adapter_config.json").write_text("{}"),
    ),
    "an adapter alone": ("model.adapter=", only_an_adapter),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_one_line_that_names_the_file(folder: Path, kind: str) -> None:
    check_folder(folder)
    name, spoil = FAULTS[kind]
    spoil(folder)
    with pytest.raises(ConfigError) as error:
        resolve(LocalModel(kind="local", name="m", path=str(folder)))
    line = str(error.value)
    assert line.startswith(f"model.path={folder}: ")
    assert name in line
    assert "\n" not in line


def test_an_index_with_all_its_shards_is_whole(folder: Path) -> None:
    index(folder, {"a": "model-1.safetensors"})
    check_folder(folder)
    assert facts_of(folder).parameters == 16


def test_the_tokenizer_alone_needs_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    check_folder(folder, with_weights=False)
    with pytest.raises(FolderError):
        check_folder(folder)


def test_a_damaged_cache_is_not_the_users_mistake(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    import huggingface_hub

    cut(folder / "model.safetensors", 0.5)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    with pytest.raises(UnavailableError, match=r"model\.safetensors"):
        resolve(HubModel(kind="hub", name="m", hub_id="a/b", revision="0" * 40))


# --- the end of an answer --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"eos_token_id": [5, 6]}, {"eos_token_id": 2}, {5, 6}),
        ({}, {"eos_token_id": [2, 7]}, {2, 7}),
        (None, {"eos_token_id": [2, 7]}, {2, 7}),
        (None, {"text_config": {"eos_token_id": 9}}, {9}),
        (None, {"eos_token_id": 0}, {0}),
        (None, {}, set()),
    ],
)
def test_generation_config_goes_before_config(
    tmp_path: Path,
    generation: dict[str, list[int]] | None,
    config: dict[str, object],
    expected: set[int],
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    assert stop_token_ids(tmp_path) == expected


# --- context and sizes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 77}}, 77),
        ({}, None),
        ({"max_position_embeddings": 100, "rope_scaling": {"type": "linear", "factor": 4}}, 400),
        ({"max_position_embeddings": 100, "rope_scaling": None}, 100),
        (
            {
                "max_position_embeddings": 100,
                "rope_parameters": {"rope_type": "llama3", "factor": 8},
            },
            100,
        ),
        (
            {
                "max_position_embeddings": 32768,
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 32768,
                },
            },
            131072,
        ),
        (
            {
                "max_position_embeddings": 131072,
                "rope_parameters": {
                    "rope_type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 32768,
                },
            },
            131072,
        ),
        (
            {
                "max_position_embeddings": 100,
                "rope_parameters": {
                    "full_attention": {"rope_type": "dynamic", "factor": 2.0},
                    "sliding_attention": {"rope_type": "default"},
                },
            },
            200,
        ),
    ],
)
def test_the_context_counts_scaled_positions(
    tmp_path: Path, config: dict[str, object], expected: int | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert context_tokens(tmp_path) == expected


def test_facts_come_from_the_folder(folder: Path) -> None:
    facts = facts_of(folder)
    assert (facts.parameters, facts.context_tokens) == (16, 64)
    assert facts.shape is not None
    assert kv_bytes_per_token(facts.shape) == 2 * 2 * 2 * 2 * 2


@pytest.mark.parametrize("changed", [{"head_dim": 128}, {"kv_lora_rank": 8}, {"hidden_size": None}])
def test_a_cache_of_another_kind_has_no_known_shape(
    folder: Path, changed: dict[str, int | None]
) -> None:
    (folder / "config.json").write_text(json.dumps(LLAMA | changed))
    assert facts_of(folder).shape is None


def test_packed_weights_tell_no_parameters(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"quantization_config": {}}))
    assert facts_of(folder).parameters is None


# --- against the architecture and the tokenizer, by the whole command ------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def dry_run(folder: Path, *more: str) -> int:
    from harness.cli.main import main

    return main(
        [
            "run",
            "--dry-run",
            "model=local",
            f"model.path='{folder}'",
            "engine=transformers",
            "protocol=greedy",
            "protocol.chat=false",
            "protocol.max_new_tokens=16",
            "protocol.max_prompt_tokens=1000",
            "tasks=[math_mini:1]",
            *more,
        ]
    )


Tensors = dict[str, np.ndarray]


def edit_weights(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    from safetensors.numpy import load_file

    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> str:
    status = dry_run(folder, *more)
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2, lines
    assert len(lines) == 1
    return lines[0]


pytestmark = pytest.mark.filterwarnings("ignore")


def test_tied_weights_are_whole(capsys: pytest.CaptureFixture[str], copy: Path) -> None:
    assert dry_run(copy) == 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda w: {k: v for k, v in w.items() if "layers.1." not in k}, "model.layers.1."),
        (lambda w: {f"_orig_mod.{k}": v for k, v in w.items()}, "model.embed_tokens.weight"),
        (lambda w: w | {"model.layers.2.mlp.up_proj.weight": np.zeros(2, "f")}, "model.layers.2."),
        (lambda w: w | {"model.norm.weight": np.zeros(2, "f")}, "model.norm.weight"),
    ],
    ids=["missing", "prefix", "unused", "shape"],
)
def test_other_tensors_than_the_architectures_are_named(
    capsys: pytest.CaptureFixture[str],
    copy: Path,
    change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
    named: str,
) -> None:
    edit_weights(copy, change)
    assert named in refused(capsys, copy)


def test_unused_tensors_can_be_allowed(capsys: pytest.CaptureFixture[str], copy: Path) -> None:
    edit_weights(copy, lambda w: w | {"value_head.weight": np.zeros(2, "f")})
    assert "model.allow_unused_tensors=true" in refused(capsys, copy)
    assert dry_run(copy, "++model.allow_unused_tensors=true") == 0
    edit_weights(copy, lambda w: {k: v for k, v in w.items() if "norm" not in k})
    assert "norm" in refused(capsys, copy, "++model.allow_unused_tensors=true")


def test_a_tokenizer_with_more_ids_than_the_embedding_has_rows(
    capsys: pytest.CaptureFixture[str], copy: Path
) -> None:
    edit_weights(copy, lambda w: w | {"model.embed_tokens.weight": np.zeros((90, 16), "f")})
    edit(copy / "config.json", vocab_size=90)
    line = refused(capsys, copy)
    assert "99" in line
    assert "90" in line


def test_an_added_token_without_a_row_is_refused_only_in_a_prompt(
    capsys: pytest.CaptureFixture[str], copy: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(copy)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.chat_template = "w1 {{ messages[0].content }}"
    tokenizer.save_pretrained(copy)
    assert dry_run(copy, "protocol.chat=true") == 0
    capsys.readouterr()
    tokenizer.chat_template = "<image> {{ messages[0].content }}"
    tokenizer.save_pretrained(copy)
    line = refused(capsys, copy, "protocol.chat=true")
    assert "<image>" in line
    assert "100" in line


def test_more_than_the_context_is_refused_with_the_way_out(
    capsys: pytest.CaptureFixture[str], copy: Path
) -> None:
    line = refused(capsys, copy, "protocol.max_new_tokens=3000")
    assert "2048" in line
    assert "4000" in line
    long = ("protocol.max_new_tokens=3000", "++model.context_tokens=4000")
    assert dry_run(copy, *long) == 0


def test_vllm_takes_more_than_the_context_only_with_its_variable(
    capsys: pytest.CaptureFixture[str], copy: Path
) -> None:
    more = ("protocol.max_new_tokens=3000",)
    assert "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1" in refused(capsys, copy, *more, "engine=vllm")
    assert "VLLM" not in refused(capsys, copy, *more, "engine=transformers")


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_single_file_beside_an_index_of_others_is_refused(
    capsys: pytest.CaptureFixture[str], copy: Path, engine: str
) -> None:
    shutil.copy(copy / "model.safetensors", copy / "model-1.safetensors")
    file = copy / "model.safetensors.index.json"
    file.write_text(json.dumps({"weight_map": {"a": "model-1.safetensors"}}))
    line = refused(capsys, copy, f"engine={engine}")
    assert "model.safetensors" in line
    assert "model-1.safetensors" in line
    file.write_text(json.dumps({"weight_map": {"a": "model.safetensors"}}))
    assert dry_run(copy, f"engine={engine}") == 0


def test_other_weights_without_an_index_are_refused_where_vllm_loads_them(
    capsys: pytest.CaptureFixture[str], copy: Path
) -> None:
    shutil.copy(copy / "model.safetensors", copy / "old.safetensors")
    assert dry_run(copy) == 0
    assert dry_run(copy, "engine=vllm", "+engine.args.load_format=auto") == 0
    capsys.readouterr()
    assert "old.safetensors" in refused(capsys, copy, "engine=vllm")


def test_a_tokenizer_without_an_end_takes_the_configurations(
    capsys: pytest.CaptureFixture[str], copy: Path
) -> None:
    config = copy / "tokenizer_config.json"
    config.write_text(
        json.dumps({k: v for k, v in json.loads(config.read_text()).items() if k != "eos_token"})
    )
    (copy / "generation_config.json").unlink()
    assert dry_run(copy) == 0
    edit(copy / "config.json", eos_token_id=None)
    line = refused(capsys, copy)
    assert "config.json" in line


# --- several chat templates -------------------------------------------------------------------


def several(folder: Path, templates: dict[str, str]) -> None:
    """As tokenizer_config.json has them."""
    listed = [{"name": name, "template": text} for name, text in templates.items()]
    edit(folder / "tokenizer_config.json", chat_template=listed)


def apart(folder: Path, templates: dict[str, str]) -> None:
    """As newer folders have them."""
    more = folder / "additional_chat_templates"
    more.mkdir()
    for name, text in templates.items():
        file = folder / "chat_template.jinja" if name == "default" else more / f"{name}.jinja"
        file.write_text(text)


TEMPLATES = {"default": "w1 {{ messages[0].content }}", "tools": "w3 {{ messages[0].content }}"}


@pytest.mark.parametrize("write", [several, apart])
def test_a_template_is_chosen_by_name(
    capsys: pytest.CaptureFixture[str], copy: Path, write: Callable[..., object]
) -> None:
    write(copy, TEMPLATES)
    digests = set()
    for choice, begins in (((), "w1 "), (("++model.chat_template=tools",), "w3 ")):
        assert dry_run(copy, "protocol.chat=true", *choice) == 0
        prompt = capsys.readouterr().out.partition("first prompt")[2].splitlines()[1]
        assert prompt.startswith(begins)
        named = choice[0].partition("=")[2] if choice else None
        model = LocalModel(kind="local", name="m", path=str(copy), chat_template=named)
        digests.add(Codec.load(resolve(model)).template_sha256)
    assert len(digests) == 2


@pytest.mark.parametrize("write", [several, apart])
def test_several_templates_without_a_default_are_named(
    capsys: pytest.CaptureFixture[str], copy: Path, write: Callable[..., object]
) -> None:
    write(copy, {"rag": "w1", "tools": "w2"})
    line = refused(capsys, copy)
    assert "model.chat_template" in line
    assert "rag, tools" in line


def test_a_template_that_there_is_not(capsys: pytest.CaptureFixture[str], copy: Path) -> None:
    assert "model.chat_template=nope" in refused(capsys, copy, "++model.chat_template=nope")
    several(copy, TEMPLATES)
    assert "default, tools" in refused(capsys, copy, "++model.chat_template=nope")


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"kind": "local", "path": "/models/mine"}, "mine"),
        ({"kind": "local", "path": "/models/mine/"}, "mine"),
        ({"kind": "local", "path": "/models/mine", "name": None}, "mine"),
        ({"kind": "local", "path": "/models/mine", "name": "ours"}, "ours"),
        ({"kind": "local", "path": "/models/mine", "name": "local"}, "local"),
        ({"kind": "local", "path": "/models/x.Q4_1.gguf"}, "x.Q4_1"),
        ({"kind": "local", "path": "/hub/models--some--model/snapshots/0123"}, "model"),
        ({"kind": "local", "path": "/models/mine", "adapter": "/out/lora"}, "mine+lora"),
        ({"kind": "hub", "hub_id": "some/model", "revision": "main"}, "model"),
        (
            {"kind": "hub", "hub_id": "a/b", "revision": "main", "name": "c", "adapter": "/d"},
            "c+d",
        ),
    ],
)
def test_a_model_has_a_name_of_its_own(given: dict[str, str | None], name: str) -> None:
    model = TypeAdapter(ModelConfig).validate_python(given)
    assert model.name == name
    again = TypeAdapter(ModelConfig).validate_python(model.model_dump(mode="json"))
    assert again == model
