"""Results in the formats of other projects, saying only what is known."""

from harness.interop.export.lm_eval import to_lm_eval
from harness.interop.export.model_index import to_model_index

__all__ = ["to_lm_eval", "to_model_index"]
