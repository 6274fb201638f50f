"""Loads a model's tokenizer so that its ids are those of the model's own ``tokenizer.json``."""

import json
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, UnavailableError
from harness.models import ResolvedModel
from harness.models.plain_tokenizer import FILE, read_plain

DEFAULT_TEMPLATE = "default"
PROBES = (
    "What is 2 + 3?\n\nLet x_1 = 5,  x_2 = -7; then \\frac{1}{2}\\cdot x_1.",
    '    def f(n):\n        """Doubles."""\n\treturn 2*n  # naïve 日本\n',
)
"""White space inside and before words, digits, code, TeX and letters of several bytes."""


def load_tokenizer(model: ResolvedModel) -> Any:
    """The tokenizer of a model's folder.

    ``tokenizer.json`` is read directly, without transformers, where that changes nothing.
    ``AutoTokenizer`` would first look up the class that
    ``tokenizer_config.json`` names, and transformers 5 builds some classes anew from the vocabulary
    alone: under ``LlamaTokenizerFast``, as R1-Distill-Llama has it, the byte-level vocabulary of
    Llama 3 then loses every blank.

    Args:
        model: On this disk. Its own Python is asked only if it is trusted and has some, or has no
            ``tokenizer.json``.

    Raises:
        ConfigError: It has several chat templates and none that is meant.
        UnavailableError: There is no tokenizer, or it gives other ids than ``tokenizer.json``.
    """
    file = Path(model.path) / FILE
    is_own = file.is_file() and not (model.trust_remote_code and _has_own_class(file.parent))
    tokenizer = read_plain(file.parent) if is_own else None
    if tokenizer is None:
        tokenizer = _of_transformers(model, file, is_own=is_own)
    tokenizer.chat_template = _chosen_template(tokenizer.chat_template, model)
    return tokenizer


def _of_transformers(model: ResolvedModel, file: Path, *, is_own: bool) -> Any:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    kind, settings = (
        # This regex is Mistral's; without the setting every other model is warned of it.
        (PreTrainedTokenizerFast, {"fix_mistral_regex": False})
        if is_own
        else (AutoTokenizer, {"trust_remote_code": model.trust_remote_code})
    )
    try:
        tokenizer = kind.from_pretrained(model.path, **settings)
    except (OSError, ValueError) as error:
        reason = named_key(str(error).strip().splitlines()[0], error)
        raise UnavailableError(f"model={model.name}: no tokenizer: {reason}") from error
    if is_own:
        _compare(tokenizer, file, model.name)
    return tokenizer


def named_key(reason: str, error: BaseException) -> str:
    """A library's error text, with our key in place of the library's argument."""
    if "trust_remote_code" not in str(error):
        return reason
    return "it needs its own Python code; model.trust_remote_code=true would run it"


def _chosen_template(templates: str | dict[str, str] | None, model: ResolvedModel) -> str | None:
    """The template that ``model.chat_template`` names, else the one that transformers would use."""
    wanted = model.chat_template
    if isinstance(templates, dict):
        name = wanted or DEFAULT_TEMPLATE
        if name in templates:
            return templates[name]
        raise ConfigError(
            f"model.chat_template={wanted or 'null'}: model={model.name} has several chat "
            f"templates, {', '.join(sorted(templates))}; choose one of them"
        )
    if wanted is not None:
        has = "no chat template" if templates is None else "one chat template, which has no name"
        raise ConfigError(
            f"model.chat_template={wanted}: model={model.name} has {has}; leave it out"
        )
    return templates


def _has_own_class(folder: Path) -> bool:
    """Whether its configuration names a tokenizer class of the repository's own Python."""
    config = folder / "tokenizer_config.json"
    if not config.is_file():
        return False
    return "AutoTokenizer" in json.loads(config.read_text(encoding="utf-8")).get("auto_map", {})


def _compare(tokenizer: Any, file: Path, name: str) -> None:
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(file))
    for text in PROBES:
        ids = plain.encode(text, add_special_tokens=False).ids
        if tokenizer.encode(text, add_special_tokens=False) != ids or tokenizer.decode(
            ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
        ) != plain.decode(ids, skip_special_tokens=False):
            raise UnavailableError(
                f"model={name}: this version of transformers reads {file} differently from "
                "the tokenizers library; prompts would differ from those of the model's training"
            )
