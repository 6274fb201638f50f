"""Sizes, cache bytes and operations against transformers: other people's code counts the same.

Full-size models are built on the meta device, where a tensor has a shape and no bytes.
"""

from typing import Any

import pytest

from harness.models.memory import kv_bytes_per_token
from harness.models.parameters import active_matrices, total_parameters
from harness.models.shape import Architecture, Experts, GroupedQuery, Latent
from harness.quantities.published import architectures
from harness.quantities.work import attention_flops_per_token
from tests.facts import known

TOKENS = 5
FLOAT32_BYTES = 4
SMALL: dict[str, Any] = {
    "name": "small",
    "title": "small",
    "aliases": (),
    "layers": 3,
    "hidden": 48,
    "ffn": 40,
    "vocab": 96,
    "tied_embeddings": False,
    "native_precision": "bf16",
    "context_tokens": 64,
    "source": "a test",
    "date": "2026-01",
    "grade": "D",
}
GROUPED = GroupedQuery(kind="gqa", heads=6, kv_heads=2, head_dim=8)
PLAIN = GroupedQuery(kind="mha", heads=6, kv_heads=6, head_dim=8)
LATENT = Latent(kind="mla", heads=4, query_rank=24, kv_rank=16, nope_dim=8, rope_dim=4, value_dim=6)
EXPERTS = Experts(routed=8, shared=2, active=3, ffn=12, dense_layers=1, router_bias=True)


def small(attention: GroupedQuery | Latent, **changes: Any) -> Architecture:
    return Architecture(attention=attention, **(SMALL | changes))


VARIANTS = {
    "grouped": small(GROUPED),
    "grouped, tied": small(GROUPED, tied_embeddings=True),
    "grouped, biases": small(GROUPED.model_copy(update={"qkv_bias": True})),
    "grouped, wide heads": small(GROUPED.model_copy(update={"head_dim": 20})),
    "plain": small(PLAIN),
    "latent": small(LATENT),
    "latent, tied, direct queries": small(
        LATENT.model_copy(update={"query_rank": None}), tied_embeddings=True
    ),
    "latent, experts": small(LATENT, experts=EXPERTS),
    "latent, experts in every layer": small(
        LATENT, experts=EXPERTS.model_copy(update={"dense_layers": 0, "shared": 1})
    ),
}


def config(architecture: Architecture) -> Any:
    """The configuration of transformers that says the same."""
    import transformers

    attention, experts = architecture.attention, architecture.experts
    assert attention is not None
    shared = {
        "vocab_size": architecture.vocab,
        "hidden_size": architecture.hidden,
        "intermediate_size": architecture.ffn,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": attention.heads,
        "tie_word_embeddings": architecture.tied_embeddings,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "attn_implementation": "eager",
        # One product for each expert: the counter of operations does not see grouped ones.
        "experts_implementation": "eager",
    }
    if isinstance(attention, GroupedQuery):
        kind = transformers.Qwen2Config if attention.qkv_bias else transformers.LlamaConfig
        return kind(**shared, num_key_value_heads=attention.kv_heads, head_dim=attention.head_dim)
    kind = transformers.DeepseekV3Config
    if experts and not experts.router_bias:
        kind = transformers.DeepseekV2Config
    mixture = {
        "n_routed_experts": experts.routed if experts else 8,
        "n_shared_experts": experts.shared if experts else 1,
        "num_experts_per_tok": experts.active if experts else 2,
        "moe_intermediate_size": experts.ffn if experts else 8,
        "first_k_dense_replace": experts.dense_layers if experts else architecture.layers,
        "n_group": 1,
        "topk_group": 1,
    }
    return kind(
        **shared,
        **mixture,
        num_key_value_heads=attention.heads,
        q_lora_rank=attention.query_rank,
        kv_lora_rank=attention.kv_rank,
        qk_nope_head_dim=attention.nope_dim,
        qk_rope_head_dim=attention.rope_dim,
        v_head_dim=attention.value_dim,
    )


def build(architecture: Architecture, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device(device):
        return AutoModelForCausalLM.from_config(config(architecture)).eval()


def count(model: Any) -> int:
    """Parameters, and the routers' biases: the checkpoint trains and stores them as such, while
    transformers keeps them as buffers."""
    biases = [
        buffer for name, buffer in model.named_buffers() if name.endswith("e_score_correction_bias")
    ]
    return sum(each.numel() for each in [*model.parameters(), *biases])


@pytest.mark.parametrize("name", architectures())
def test_every_published_architecture_has_as_many_parameters_as_transformers_builds(
    name: str,
) -> None:
    architecture = architectures()[name]
    assert count(build(architecture, "meta")) == total_parameters(architecture)


@pytest.mark.parametrize("variant", VARIANTS)
def test_so_has_every_kind_of_architecture(variant: str) -> None:
    architecture = VARIANTS[variant]
    assert count(build(architecture, "meta")) == total_parameters(architecture)


def test_without_the_routers_biases_v3_is_what_transformers_calls_its_parameters() -> None:
    v3 = architectures()["v3"]
    assert v3.experts is not None
    total = total_parameters(v3)
    assert total is not None
    biases = v3.experts.routed * (v3.layers - v3.experts.dense_layers)
    assert total - biases == 671_026_404_352


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_real_cache_has_as_many_bytes(variant: str) -> None:
    """Latent attention too: since transformers 5 the cache of these models is the latent form."""
    import torch
    from transformers import DynamicCache

    architecture = VARIANTS[variant]
    cache = DynamicCache()
    ids = torch.arange(TOKENS)[None]
    with torch.no_grad():
        build(architecture, "cpu")(input_ids=ids, past_key_values=cache, use_cache=True)
    found = sum(
        each.numel() * each.element_size() for layer in cache.layers for each in kept(layer)
    )
    per_token = kv_bytes_per_token(architecture, FLOAT32_BYTES)
    assert found == TOKENS * known(per_token)
    assert cache.get_seq_length() == TOKENS


def kept(layer: Any) -> tuple[Any, Any]:
    return layer.keys, layer.values


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_decoding_step_has_as_many_operations(variant: str) -> None:
    """PyTorch's own counter, one token after 20 others.

    With latent attention transformers unfolds all cached tokens anew in each step. That is the
    expanded form, and the matrix that unfolds works on every token instead of on one.
    """
    architecture = VARIANTS[variant]
    attention = architecture.attention
    assert attention is not None
    context = 20
    weights = active_matrices(architecture)
    flops = attention_flops_per_token(architecture, context)
    assert weights is not None
    assert flops is not None
    expected = 2 * weights
    if isinstance(attention, Latent):
        unfold = attention.kv_rank * attention.heads * (attention.nope_dim + attention.value_dim)
        expected += flops["expanded"] + 2 * architecture.layers * unfold * (context - 1)
    else:
        expected += flops[attention.kind]
    assert decoding_flops(architecture, context) == expected


def decoding_flops(architecture: Architecture, context: int) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import DynamicCache

    model, cache = build(architecture, "cpu"), DynamicCache()
    ids = torch.arange(context)[None]
    with torch.no_grad():
        model(input_ids=ids[:, :-1], past_key_values=cache, use_cache=True)
        with FlopCounterMode(display=False) as counter:
            model(input_ids=ids[:, -1:], past_key_values=cache, use_cache=True)
    found: int = counter.get_total_flops()
    return found
