"""A tokenizer that its ``tokenizer.json`` describes whole: read without transformers and torch.

What a chat template is rendered with is what transformers renders it with, and ids are those of the
file by the same library, so a plan and a run ask the same prompts. Whatever transformers would add
to the file, or reads from elsewhere, is left to transformers: ``read_plain`` says None.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jinja2 import Template
    from tokenizers import Tokenizer

FILE = "tokenizer.json"
CONFIG = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates"
_ELSEWHERE = ("special_tokens_map.json", "added_tokens.json")
"""Further files that an older folder may have beside ``tokenizer_config.json``."""
_FLAGS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
_NAMED = (
    *("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token"),
    "mask_token",
)
_EXTRA = ("extra_special_tokens", "additional_special_tokens")


class Described(NamedTuple):
    """The settings in ``tokenizer_config.json``."""

    template: str | None
    named: Mapping[str, str]
    """``bos_token`` … to its text."""
    extra: tuple[str, ...]
    """Further special tokens, without a name."""


class PlainTokenizer:
    """The part of a transformers tokenizer that the harness uses, with the same names."""

    def __init__(self, own: "Tokenizer", described: Described) -> None:
        self._own = own
        self._named = described.named
        self._extra = described.extra
        self.chat_template = described.template

    @property
    def bos_token(self) -> str | None:
        """The token that begins a text, None where there is none."""
        return self._named.get("bos_token")

    @property
    def bos_token_id(self) -> int | None:
        """Id of the beginning-of-sequence token."""
        return self._id("bos_token")

    @property
    def eos_token_id(self) -> int | None:
        """The id of the token that ends a text."""
        return self._id("eos_token")

    @property
    def pad_token_id(self) -> int | None:
        """The id of the token that fills a row."""
        return self._id("pad_token")

    @property
    def all_special_tokens(self) -> list[str]:
        """The named ones, then the others, each once."""
        return list(dict.fromkeys([*self._named.values(), *self._extra]))

    def get_vocab(self) -> dict[str, int]:
        """All tokens with their ids."""
        return self._vocabulary

    def get_added_vocab(self) -> dict[str, int]:
        """The tokens that were added to the vocabulary."""
        added = self._own.get_added_tokens_decoder()
        return {token.content: number for number, token in sorted(added.items())}

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """A text as ids, with what the tokenizer adds around it if it is to."""
        ids: list[int] = self._own.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def decode(
        self,
        ids: Sequence[int],
        *,
        skip_special_tokens: bool,
        clean_up_tokenization_spaces: bool,
    ) -> str:
        """Ids as text, its blanks as they are."""
        assert not clean_up_tokenization_spaces
        text: str = self._own.decode(ids, skip_special_tokens=skip_special_tokens)
        return text

    def apply_chat_template(
        self, conversation: list[dict[str, Any]], *, tokenize: bool, **variables: Any
    ) -> str:
        """The turns of a conversation as one text.

        Raises:
            jinja2.TemplateError: The template cannot be rendered.
        """
        assert not tokenize
        assert self.chat_template is not None
        given = {"tools": None, "documents": None, **self._named, **variables}
        return compiled(self.chat_template).render(messages=conversation, **given)

    def _id(self, name: str) -> int | None:
        token = self._named.get(name)
        return None if token is None else self._own.token_to_id(token)

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        found: dict[str, int] = self._own.get_vocab(with_added_tokens=True)
        return found


@lru_cache
def compiled(template: str) -> "Template":
    """A chat template compiled with the functions that transformers offers to templates."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """``{% generation %}`` marks the assistant's words for training; it writes nothing."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body).set_lineno(line)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(
        value: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(template)


def read_plain(folder: Path) -> PlainTokenizer | None:
    """The tokenizer of a folder; None where ``tokenizer.json`` alone does not define its ids.

    So it is where a file is damaged, too: transformers says what is wrong with it.
    """
    try:
        return _read(folder)
    except Exception:  # noqa: BLE001 - what tokenizers raises is no more than that
        return None


def _read(folder: Path) -> PlainTokenizer | None:
    described = _described(folder)
    if described is None:
        return None
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(folder / FILE))
    if own.padding is not None:
        return None  # transformers takes a pad token from it
    own.no_truncation()
    added = {token.content for token in own.get_added_tokens_decoder().values()}
    is_whole = added.issuperset([*described.named.values(), *described.extra])
    if not is_whole or not _agrees(folder, own):
        return None  # transformers adds what is missing
    return PlainTokenizer(own, described)


def _described(folder: Path) -> Described | None:
    """The settings of the configuration; None where it has unusual ones."""
    file = folder / CONFIG
    if not file.is_file() or (folder / MORE_TEMPLATES).exists():
        return None
    config = json.loads(file.read_text(encoding="utf-8"))
    is_older = "added_tokens_decoder" not in config
    if is_older and any((folder / name).exists() for name in _ELSEWHERE):
        return None
    if config.get("split_special_tokens"):
        return None
    template = config.get("chat_template")
    if (own_file := folder / TEMPLATE).is_file():
        template = own_file.read_text(encoding="utf-8")
    extra: Any = next((config[name] for name in _EXTRA if config.get(name)), [])
    if not isinstance(template, str | None) or not isinstance(extra, list):
        return None
    standard = {name: config[name] for name in _NAMED if config.get(name) is not None}
    own = {
        name: value
        for name, value in config.items()
        if name.endswith("_token") and name not in _NAMED and isinstance(value, str | dict)
    }
    texts = [_text(token) for token in (*standard.values(), *own.values(), *extra)]
    if any(text is None for text in texts):
        return None
    named = dict(zip([*standard, *own], texts, strict=False))
    return Described(template, named, tuple(texts[len(named) :]))  # type: ignore[arg-type]


def _text(token: Any) -> str | None:
    """A token is written as its text, or with its flags."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _agrees(folder: Path, own: "Tokenizer") -> bool:
    """Whether the configuration's list of added tokens is that of ``tokenizer.json``."""
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    listed: dict[str, dict[str, Any]] = config.get("added_tokens_decoder", {})
    added = own.get_added_tokens_decoder()
    return all(
        int(number) in added
        and all(getattr(added[int(number)], flag) == token.get(flag, False) for flag in _FLAGS)
        for number, token in listed.items()
    )
