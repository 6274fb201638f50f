"""LoRA adapters: a folder as peft's ``save_pretrained`` writes it, applied to a model unmerged."""

from pathlib import Path

from harness.errors import ConfigError
from harness.models.description import Adapter
from harness.models.digest import file_sha256, joined_sha256
from harness.models.folder import ADAPTER_CONFIG, FolderError, header_of, read_object

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def resolve_adapter(given: str) -> Adapter:
    """Reads an adapter's configuration and digest.

    Args:
        given: ``model.adapter``.

    Raises:
        ConfigError: It is no LoRA adapter, or it is damaged.
    """
    folder = Path(given).expanduser().resolve()
    try:
        return _read(folder)
    except FolderError as error:
        raise ConfigError(f"model.adapter={given}: {error}") from error


def adapter_tensors(adapter: Adapter) -> frozenset[str]:
    """The names of its tensors."""
    return frozenset(header_of(Path(adapter.path) / ADAPTER_WEIGHTS))


def _read(folder: Path) -> Adapter:
    for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (folder / name).is_file():
            raise FolderError(f"no {name} there; give a folder as peft's save_pretrained writes it")
    config = read_object(folder / ADAPTER_CONFIG)
    if config.get("peft_type") != "LORA":
        raise FolderError(f"{ADAPTER_CONFIG}: peft_type={config.get('peft_type')}: should be LORA")
    ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()]
    if not all(type(rank) is int and rank > 0 for rank in ranks):
        raise FolderError(f"{ADAPTER_CONFIG}: r={config.get('r')}: should be a whole number from 1")
    header_of(folder / ADAPTER_WEIGHTS)
    base = config.get("base_model_name_or_path")
    return Adapter(
        path=str(folder),
        sha256=joined_sha256(
            f"{name}:{file_sha256(folder / name)}" for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)
        ),
        rank=max(ranks),
        base=base if isinstance(base, str) else None,
    )
