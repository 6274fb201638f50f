"""A Llama with two layers and a hundred words, as a checkpoint."""

from pathlib import Path
from typing import Any

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


def save_tiny(folder: Path, shape: dict[str, Any] = SHAPE) -> Path:
    """Writes it into a folder, which is made."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({f"w{n}": n for n in range(100)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w2").save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=100, num_hidden_layers=2, eos_token_id=2, **shape)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder
