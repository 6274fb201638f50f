"""vLLM's settings after it has resolved all defaults.

In process they are read from vLLM's configuration and its worker; for a server, from its log and
metrics, which contain less. None means unknown; ``none`` means that there is none.

In process it is read from vLLM's configuration and its worker; of a server from what it writes
into its log and its metrics, which is less. None is unknown; what there is not is ``none``.
"""

import enum
import re
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from harness.records import Setting

# By our name: where vLLM's configuration object has it.
_IN_CONFIG = {
    "attention_backend": "attention_config.backend",
    "kv_cache_dtype": "cache_config.cache_dtype",
    "kv_cache_tokens": "cache_config.kv_cache_size_tokens",
    "kv_cache_blocks": "cache_config.num_gpu_blocks",
    "block_size": "cache_config.block_size",
    "gpu_memory_utilization": "cache_config.gpu_memory_utilization",
    "prefix_caching": "cache_config.enable_prefix_caching",
    "chunked_prefill": "scheduler_config.enable_chunked_prefill",
    "max_model_len": "model_config.max_model_len",
    "max_num_seqs": "scheduler_config.max_num_seqs",
    "max_num_batched_tokens": "scheduler_config.max_num_batched_tokens",
    "async_scheduling": "scheduler_config.async_scheduling",
    "model_runner": "use_v2_model_runner",
    "compilation_mode": "compilation_config.mode",
    "cudagraph_mode": "compilation_config.cudagraph_mode",
    "enforce_eager": "model_config.enforce_eager",
    "quantization": "model_config.quantization",
    "speculative_config": "speculative_config",
    "tensor_parallel_size": "parallel_config.tensor_parallel_size",
    "pipeline_parallel_size": "parallel_config.pipeline_parallel_size",
    "data_parallel_size": "parallel_config.data_parallel_size",
    "executor_backend": "parallel_config.distributed_executor_backend",
}
VLLM_SETTINGS = tuple(_IN_CONFIG)
"""Names of the settings, in the order in which they are recorded."""
_RUNNERS: dict[Setting, str] = {True: "V2", False: "V1"}
_OPTIONAL = ("quantization", "speculative_config")
NONE = "none"

# Of the line with which a server's engine begins, "… with config: model='…', dtype=…, …".
_IN_BEGINNING = {
    "kv_cache_dtype": r"\bkv_cache_dtype=([^,\s]+)",
    "prefix_caching": r"\benable_prefix_caching=(\w+)",
    "chunked_prefill": r"\benable_chunked_prefill=(\w+)",
    "max_model_len": r"\bmax_seq_len=(\d+)",
    "compilation_mode": r"'mode': <CompilationMode\.(\w+)",
    "cudagraph_mode": r"'cudagraph_mode': <CUDAGraphMode\.(\w+)",
    "enforce_eager": r"\benforce_eager=(\w+)",
    "quantization": r"\bquantization=([^,\s]+)",
    "speculative_config": r"\bspeculative_config=(None|SpeculativeConfig\([^)]*\))",
    "tensor_parallel_size": r"\btensor_parallel_size=(\d+)",
    "pipeline_parallel_size": r"\bpipeline_parallel_size=(\d+)",
    "data_parallel_size": r"\bdata_parallel_size=(\d+)",
}
BEGINNING = re.compile(r"Initializing a V1 LLM engine \(v([^)]*)\) with config: (.*)")
# Of the other lines.
_IN_LOG = {
    "attention_backend": r"Using (\w+) (?:attention )?backend(?: out of potential backends|\.$)",
    "kv_cache_tokens": r"KV cache size: ([\d,]+) tokens",
    "max_num_batched_tokens": r"\bmax_num_batched_tokens=(\d+)",
}
_ASYNC = re.compile(r"Asynchronous scheduling is (enabled|disabled)|(Async scheduling)[^\n]*dis")
_V2, _V1 = "Using V2 Model Runner", "using the V1 model runner"
# Of ``vllm:cache_config_info``, whose labels are the cache's configuration.
_IN_METRICS = {
    "kv_cache_dtype": "cache_dtype",
    "kv_cache_tokens": "kv_cache_size_tokens",
    "kv_cache_blocks": "num_gpu_blocks",
    "block_size": "block_size",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "prefix_caching": "enable_prefix_caching",
}
_CACHE_INFO = re.compile(r"^vllm:cache_config_info\{(.*)\} ", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def of_config(config: Any, workers: Sequence[Mapping[str, Setting]] = ()) -> dict[str, Setting]:
    """The settings of a vLLM that runs in process.

    Args:
        config: Its ``VllmConfig``.
        workers: What its workers report; where several differ, all values are kept.
    """
    found = {name: _plain(_at(config, path)) for name, path in _IN_CONFIG.items()}
    found["model_runner"] = _RUNNERS.get(found["model_runner"])
    found |= {name: NONE for name in _OPTIONAL if found[name] is None}
    for name in dict.fromkeys(name for each in workers for name in each):
        values = list(dict.fromkeys(each[name] for each in workers if each.get(name) is not None))
        if values:
            found[name] = values[0] if len(values) == 1 else ", ".join(map(str, values))
    return found


def of_server(log: str, metrics: str | None, args: Mapping[str, Any]) -> dict[str, Setting]:
    """The settings of a vLLM server, as far as it reports them.

    Args:
        log: What it wrote while it started.
        metrics: Its ``/metrics``; None where they could not be read.
        args: Its arguments, for settings that the server does not report.
    """
    begun = BEGINNING.search(log)
    info = _CACHE_INFO.search(metrics or "")
    labels = {n: v for n, v in _LABEL.findall(info[1]) if v != "None"} if info else {}
    found: dict[str, Setting] = {}
    for name in VLLM_SETTINGS:
        text = labels.get(_IN_METRICS.get(name, ""))
        text = text or _match(_IN_BEGINNING.get(name), begun[2] if begun else "")
        text = text or _match(_IN_LOG.get(name), log)
        found[name] = NONE if name in _OPTIONAL and text == "None" else _value(text)
        if found[name] is None and isinstance(args.get(name), str | int | float):
            found[name] = args[name]
    if (scheduling := _ASYNC.search(log)) is not None:
        found["async_scheduling"] = scheduling[1] == "enabled"
    found["model_runner"] = "V2" if _V2 in log else "V1" if _V1 in log else None
    return found


def _at(config: Any, path: str) -> Any:
    """A nested attribute; None where this version of vLLM has none."""
    return reduce(lambda inner, name: getattr(inner, name, None), path.split("."), config)


def _plain(value: Any) -> Setting:
    match value:
        case enum.Enum():
            return value.name
        case None | bool() | int() | float() | str():
            return value
        case type():
            return value.__name__
        case _:
            return repr(value)


def _match(pattern: str | None, text: str) -> str | None:
    found = re.search(pattern, text, re.MULTILINE) if pattern else None
    return found[1] if found else None


def _value(text: str | None) -> Setting:
    """A value of the log in the form that it has in process."""
    if text is None or text == "None":
        return None
    if text in {"True", "False"}:
        return text == "True"
    number = text.replace(",", "")
    try:
        return int(number)
    except ValueError:
        pass
    try:
        return float(number)
    except ValueError:
        return text
