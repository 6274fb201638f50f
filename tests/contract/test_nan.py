"""A prompt that makes the logits NaN ends its own request with an error, and no other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.engines.build import EngineConfig
from harness.engines.transformers_engine import TransformersConfig
from harness.models import ResolvedModel
from harness.records import RequestId
from tests.contract.conftest import (
    NEEDS_VLLM,
    TINY_CONTEXT,
    ask,
    by_id,
    open_engine,
    vllm_config,
)

pytestmark = pytest.mark.filterwarnings("ignore")
POISON = 500
"""A token that no prompt of ``ask`` has."""


@pytest.fixture(scope="module")
def poisoned(tiny: ResolvedModel, tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("poisoned")
    shutil.copytree(tiny.path, folder, dirs_exist_ok=True)
    model = AutoModelForCausalLM.from_pretrained(tiny.path, tie_word_embeddings=False)
    rows = model.get_input_embeddings().weight.detach().clone()
    model.lm_head.weight = torch.nn.Parameter(rows.clone())
    rows[POISON] = float("nan")
    model.get_input_embeddings().weight = torch.nn.Parameter(rows)
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder)
    shutil.copy(Path(tiny.path) / "generation_config.json", folder)
    return tiny.model_copy(update={"path": str(folder)})


@pytest.mark.parametrize(
    "config",
    [
        TransformersConfig(kind="transformers", device="cpu", dtype="float32"),
        pytest.param(vllm_config, marks=NEEDS_VLLM, id="vllm"),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_it_fails_alone(
    config: EngineConfig | Callable[[], EngineConfig],
    temperature: float,
    poisoned: ResolvedModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_COMPUTE_NANS_IN_LOGITS", "1")
    requests = [ask(number, temperature=temperature) for number in range(3)]
    ids = requests[1].prompt_token_ids
    ill = requests[1].model_copy(
        update={
            "request_id": RequestId("contract/ill#0"),
            "prompt_token_ids": (*ids[:5], POISON, *ids[6:]),
        }
    )
    with open_engine(config() if callable(config) else config, poisoned, TINY_CONTEXT) as engine:
        found = by_id(list(engine.generate([*requests, ill])))
    failed = found.pop(ill.request_id)
    assert failed.finish_reason == "error"
    assert "NaN" in str(failed.error)
    assert not [each.error for each in found.values() if each.error]
