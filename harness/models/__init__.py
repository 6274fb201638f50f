"""Models: their description in ``conf/model``, and how their files get onto this disk."""

from harness.models.description import (
    HubModel,
    LocalModel,
    ModelConfig,
    RemoteModel,
    ResolvedModel,
    WheelModel,
    origin,
)
from harness.models.digest import WEIGHTS, weights_sha256
from harness.models.folder import stop_token_ids
from harness.models.gguf import wheel_folder
from harness.models.resolve import (
    TOKENIZER_FILES,
    is_here,
    is_hub_error,
    is_hub_id,
    missing_hub_files,
    pinned,
    resolve,
)
from harness.models.shape import ModelShape

__all__ = [
    "TOKENIZER_FILES",
    "WEIGHTS",
    "HubModel",
    "LocalModel",
    "ModelConfig",
    "ModelShape",
    "RemoteModel",
    "ResolvedModel",
    "WheelModel",
    "is_here",
    "is_hub_error",
    "is_hub_id",
    "missing_hub_files",
    "origin",
    "pinned",
    "resolve",
    "stop_token_ids",
    "weights_sha256",
    "wheel_folder",
]
