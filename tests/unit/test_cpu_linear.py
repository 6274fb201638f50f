"""Packed weights give what plain ones give, in every kind of model that reads them its own way."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from harness.engines.cpu_linear import pack

SMALL = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
KINDS: dict[str, dict[str, Any]] = {
    "llama": {**SMALL, **HEADS, "tie_word_embeddings": True},
    "qwen2": {**SMALL, **HEADS, "tie_word_embeddings": False},
    "qwen3": {**SMALL, **HEADS, "head_dim": 8, "tie_word_embeddings": True},
    "gemma2": {**SMALL, **HEADS, "head_dim": 8},
    "phi3": {**SMALL, **HEADS, "pad_token_id": 0},
    "opt": {
        "vocab_size": 96,
        "hidden_size": 32,
        "ffn_dim": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 32,
        "pad_token_id": 1,
    },
    "gpt2": {"vocab_size": 96, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "mixtral": {**SMALL, **HEADS, "num_local_experts": 4},
    "deepseek_v3": {
        **SMALL,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "moe_intermediate_size": 16,
        "n_routed_experts": 4,
        "n_group": 1,
        "topk_group": 1,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
    },
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_packing_changes_no_logits(kind: str) -> None:
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **KINDS[kind])).eval()
    ids = torch.arange(60).reshape(3, 20)
    with torch.inference_mode():
        plain = model(input_ids=ids).logits
        is_packed = pack(model)
        packed = model(input_ids=ids).logits
    assert is_packed == any(type(each) is torch.nn.Linear and each.weight.is_mkldnn
                            for each in model.modules())  # fmt: skip
    assert is_packed or kind == "gpt2", "its layers are no torch.nn.Linear"
    torch.testing.assert_close(packed, plain, rtol=1e-4, atol=1e-5)


def test_what_the_cpu_does_not_multiply_stays_plain() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(8, 4, dtype=torch.float64))
    assert pack(layer) is False
    assert not layer[0].weight.is_mkldnn
    assert layer(torch.ones(2, 8, dtype=torch.float64)).shape == (2, 4)
