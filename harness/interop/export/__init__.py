"""Results in the formats of other projects, saying only what is known."""

from harness.interop.export.eee import write_eee
from harness.interop.export.eee_aggregate import Evaluator, Relationship
from harness.interop.export.eval_results import Benchmark, to_eval_results
from harness.interop.export.inspect_log import write_inspect
from harness.interop.export.lm_eval import to_lm_eval
from harness.interop.export.model_index import to_model_index

__all__ = [
    "Benchmark",
    "Evaluator",
    "Relationship",
    "to_eval_results",
    "to_lm_eval",
    "to_model_index",
    "write_eee",
    "write_inspect",
]
