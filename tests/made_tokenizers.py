"""Tokenizers that are made on the spot: R1's special tokens, and those of an instruct model.

Their ids and forms are the real ones of DeepSeek-R1-Distill-Qwen and of Qwen2.5-Instruct; so are
the size of the vocabulary, the splitting of text and the prompts of their chat templates. The words
are learned from a few lines, and the rest of the vocabulary is filled up.
"""

import json
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

WORDS = 151_643
"""Ids of ordinary tokens; the special ones begin here."""

# The tokens after them, in the order of their ids. LATER follows in both models.
R1_TOKENS = (
    *("<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>"),
    *("<\uff5cbegin\u2581of\u2581sentence\uff5c>", "<|EOT|>", "<think>", "</think>"),
)
QWEN_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>"),
    *("<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
)
LATER = (
    *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>"),
    *("<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"),
)
PLAIN = frozenset({"<think>", "</think>", "<tool_call>", "</tool_call>"})
"""Tokens that are not special: they stay when special tokens are left out."""

R1_TEMPLATE = """\
{{- bos_token }}
{%- for turn in messages if turn.role == 'system' %}{{ turn.content }}{% endfor %}
{%- for turn in messages %}
{%- if turn.role == 'user' %}{{ '<\uff5cUser\uff5c>' + turn.content }}
{%- elif turn.role == 'assistant' %}
{{- '<\uff5cAssistant\uff5c>' + turn.content.split('</think>')[-1] + eos_token }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<\uff5cAssistant\uff5c>' }}{% endif %}"""
THINKING_R1_TEMPLATE = R1_TEMPLATE.replace(
    "\uff5c>' }}{% endif %}", r"\uff5c><think>\n' }}{% endif %}"
)
INSTRUCT_TEMPLATE = r"""
{%- if messages[0].role != 'system' %}
{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}
{%- endif %}
{%- for turn in messages %}
{{- '<|im_start|>' + turn.role + '\n' + turn.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

CUT_OFF = "\u00e4\u00b8"
"""Two of the three bytes of a Chinese character, as byte-level vocabularies spell bytes."""
SPLITTING = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LINES = (
    "What is the value of x such that the sum of the first ten terms is less than one hundred?",
    "Let me think. Wait, that is not right: the answer is 7, so \\boxed{7} and not \\frac{1}{2}.",
    "    def is_even(number):\n        return number % 2 == 0\n\n    for n in range(10):\n",
    "Therefore the answer to the problem is that there are three of them in the first place.",
)


def write_r1_tokenizer(folder: Path) -> Path:
    """R1's, with the template of today (it opens a thought) and the one of January 2025."""
    end, _, _, begin, *_ = R1_TOKENS
    tokenizer = _tokenizer(R1_TOKENS)
    tokenizer.post_processor = _adds_first(begin, tokenizer.token_to_id(begin))
    (folder / "chat_template.2025-01.jinja").write_text(R1_TEMPLATE, encoding="utf-8")
    names = {"bos_token": begin, "eos_token": end, "pad_token": end}
    return _write(folder, tokenizer, THINKING_R1_TEMPLATE, names)


def write_instruct_tokenizer(folder: Path) -> Path:
    """Of a model that does not think: no BOS, and a system turn where none is given."""
    pad, _, end, *_ = QWEN_TOKENS
    names = {"eos_token": end, "pad_token": pad}
    return _write(folder, _tokenizer(QWEN_TOKENS), INSTRUCT_TEMPLATE, names)


def _write(folder: Path, tokenizer: Any, template: str, names: dict[str, str]) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "TokenizersBackend", "backend": "tokenizers", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder


def _tokenizer(tokens: tuple[str, ...]) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer
    from tokenizers.decoders import ByteLevel as ByteLevelDecoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    bytewise = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = Sequence([Split(Regex(SPLITTING), "isolated"), bytewise])
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=600, initial_alphabet=sorted(ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(LINES, trainer)
    learned = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer.model = BPE(_filled(learned["vocab"]), merges)
    tokenizer.add_tokens(
        [
            AddedToken(token, normalized=False, special=token not in PLAIN)
            for token in (*tokens, *LATER)
        ]
    )
    return tokenizer


def _filled(vocabulary: dict[str, int]) -> dict[str, int]:
    """With words that no text is split into, so that every id has a text.

    Every 16th breaks off within a character, as tokens of real vocabularies do.
    """
    letters = product(ascii_lowercase, repeat=4)
    for number in range(len(vocabulary), WORDS):
        end = CUT_OFF if number % 16 == 0 else ""
        vocabulary[f"\u0120q{''.join(next(letters))}{end}"] = number
    return vocabulary


def _adds_first(token: str, token_id: int) -> Any:
    from tokenizers.processors import TemplateProcessing

    return TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, token_id)]
    )
