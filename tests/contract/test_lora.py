"""A LoRA adapter, made by peft on the tiny model: applied as it would be merged, in each engine."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines.build import EngineConfig
from harness.engines.transformers_engine import TransformersConfig
from harness.errors import ConfigError
from harness.models import LocalModel, ResolvedModel, resolve
from harness.records import Completion
from tests.contract.conftest import (
    NEEDS_VLLM,
    TINY_CONTEXT,
    ask,
    open_engine,
    vllm_config,
    vllm_server_config,
)
from tests.facts import known

pytestmark = pytest.mark.filterwarnings("ignore")
pytest.importorskip("peft", reason="needs peft (pip install 'gegenprobe[lora]')")

TRANSFORMERS = TransformersConfig(kind="transformers", device="cpu", dtype="float32")
REQUESTS = [ask(number, prompt_tokens=10 + 3 * number) for number in range(4)]


@pytest.fixture(scope="module")
def adapted(tiny: ResolvedModel, tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(tiny.path)
    config = LoraConfig(
        r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"
    )
    model = get_peft_model(base, config)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # peft begins with zeros, which change nothing
            torch.nn.init.normal_(parameter, std=0.5)
    folder = tmp_path_factory.mktemp("lora") / "my-adapter"
    model.save_pretrained(folder)
    return resolve(LocalModel(kind="local", name="tiny", path=tiny.path, adapter=str(folder)))


@pytest.fixture(scope="module")
def merged(
    adapted: ResolvedModel, tiny: ResolvedModel, tmp_path_factory: pytest.TempPathFactory
) -> ResolvedModel:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    assert adapted.adapter is not None
    folder = tmp_path_factory.mktemp("merged")
    shutil.copytree(tiny.path, folder, dirs_exist_ok=True)
    base = AutoModelForCausalLM.from_pretrained(tiny.path)
    PeftModel.from_pretrained(base, adapted.adapter.path).merge_and_unload().save_pretrained(folder)
    shutil.copy(Path(tiny.path) / "generation_config.json", folder)
    return resolve(LocalModel(kind="local", name="merged", path=str(folder)))


def texts(config: EngineConfig, model: ResolvedModel) -> dict[str, str]:
    with open_engine(config, model, TINY_CONTEXT) as engine:
        found: list[Completion] = list(engine.generate(REQUESTS))
    assert not [each.error for each in found if each.error]
    return {each.request_id: each.text for each in found}


@pytest.fixture(scope="module")
def expected(merged: ResolvedModel) -> dict[str, str]:
    return texts(TRANSFORMERS, merged)


def test_applied_is_merged(
    adapted: ResolvedModel, expected: dict[str, str], tiny: ResolvedModel
) -> None:
    assert texts(TRANSFORMERS, adapted) == expected
    assert texts(TRANSFORMERS, tiny) != expected


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(vllm_config, marks=NEEDS_VLLM, id="vllm"),
        pytest.param(vllm_server_config, marks=NEEDS_VLLM, id="vllm_server"),
    ],
)
def test_vllm_applies_it_too(
    config: Callable[[], EngineConfig], adapted: ResolvedModel, expected: dict[str, str]
) -> None:
    assert texts(config(), adapted) == expected


def test_name_and_digest_are_not_the_base_models(
    adapted: ResolvedModel, tiny: ResolvedModel
) -> None:
    base = resolve(LocalModel(kind="local", name="tiny", path=tiny.path))
    assert (base.name, adapted.name) == ("tiny", "tiny+my-adapter")
    assert base.sha256 != adapted.sha256
    assert known(adapted.adapter).rank == 4


def test_other_weights_of_an_adapter_are_another_model(
    adapted: ResolvedModel, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(known(adapted.adapter).path, tmp_path / "my-adapter"))
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 32}))
    model = LocalModel(kind="local", name="tiny", path=adapted.path, adapter=str(copy))
    assert resolve(model).sha256 != adapted.sha256


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), "adapter_config.json"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "adapter_model.safetensors"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x"), "adapter_model"),
        (lambda f: (f / "adapter_config.json").write_text('{"peft_type": "IA3"}'), "IA3"),
    ],
)
def test_what_is_no_adapter_is_refused(
    adapted: ResolvedModel, tmp_path: Path, spoil: Callable[[Path], object], named: str
) -> None:
    copy = Path(shutil.copytree(known(adapted.adapter).path, tmp_path / "a"))
    spoil(copy)
    model = LocalModel(kind="local", name="tiny", path=adapted.path, adapter=str(copy))
    with pytest.raises(ConfigError, match=named):
        resolve(model)


def test_an_adapter_of_another_architecture_is_refused(
    adapted: ResolvedModel, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(known(adapted.adapter).path, tmp_path / "a"))
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["k_proj"]}))
    model = LocalModel(kind="local", name="tiny", path=adapted.path, adapter=str(copy))
    with pytest.raises(ConfigError, match=r"k_proj|q_proj"):
        texts(TRANSFORMERS, resolve(model))
