"""What is read without transformers is what transformers reads: ids, texts, prompts, and wholeness.

Folders of which ``tokenizer.json`` does not tell everything are left to transformers.
"""

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from harness.io.paths import CONF_DIR
from harness.models import WheelModel, wheel_folder
from harness.models.layout import embedding_rows_if_whole
from harness.models.plain_tokenizer import PlainTokenizer, compiled, read_plain

MARKS = (
    *("<think>", "</think>", "<\uff5cUser\uff5c>", "<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    *("\\boxed{", "\n\n", "  ", "\t", "naïve", "日本", "\u0301", "\ufffd", "é", "👩‍🔬", "\u00a0"),
)
TEXT = st.lists(st.one_of(st.sampled_from(MARKS), st.text(max_size=20)), max_size=8).map("".join)


@cache
def both(folder: Path) -> tuple[PlainTokenizer, Any]:
    """A tokenizer as it is read here and by transformers."""
    from transformers import PreTrainedTokenizerFast

    plain = read_plain(folder)
    assert plain is not None
    return plain, PreTrainedTokenizerFast.from_pretrained(folder, fix_mistral_regex=False)


@pytest.fixture(params=["r1", "instruct", "real r1", "smollm2"])
def folder(request: pytest.FixtureRequest) -> Path:
    if request.param == "r1":
        return Path(request.getfixturevalue("made_r1_tokenizer"))
    if request.param == "instruct":
        return Path(request.getfixturevalue("instruct_tokenizer"))
    if request.param == "real r1":
        return Path(request.getfixturevalue("shared_data")) / "r1-distill-qwen-tokenizer"
    raw = yaml.safe_load((CONF_DIR / "model" / "smollm2_135m.yaml").read_text(encoding="utf-8"))
    found = wheel_folder(WheelModel.model_validate(raw))
    if not (found / "tokenizer.json").is_file():
        pytest.skip(f"needs SmolLM2 in {found}")
    return found


def test_what_it_says_of_itself_is_the_same(folder: Path) -> None:
    plain, theirs = both(folder)
    for name in ("bos_token", "bos_token_id", "eos_token_id", "pad_token_id", "chat_template"):
        assert getattr(plain, name) == getattr(theirs, name), name
    assert plain.all_special_tokens == theirs.all_special_tokens
    assert plain.get_vocab() == theirs.get_vocab()
    assert plain.get_added_vocab() == theirs.get_added_vocab()


@settings(max_examples=300, deadline=None)
@given(text=TEXT, system=st.none() | TEXT)
def check_prompts(folder: Path, text: str, system: str | None) -> None:
    plain, theirs = both(folder)
    turns = [] if system is None else [{"role": "system", "content": system}]
    turns.append({"role": "user", "content": text})
    rendered, as_theirs = (
        each.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        for each in (plain, theirs)
    )
    assert rendered == as_theirs
    for each in (text, rendered):
        for adds in (False, True):
            assert plain.encode(each, add_special_tokens=adds) == theirs.encode(
                each, add_special_tokens=adds
            )
    ids = plain.encode(rendered, add_special_tokens=False)
    how = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
    for some in (ids, ids[: len(ids) // 2], ids[len(ids) // 3 :]):
        assert plain.decode(some, **how) == theirs.decode(some, **how)


def test_prompts_and_answers_are_the_same_token_for_token(folder: Path) -> None:
    check_prompts(folder)


TEMPLATES = (
    "{% for m in messages %}\n  {% if loop.first %}\n{{ m.content }}\n  {% endif %}\n{% endfor %}x",
    "{% for m in messages %}{% if m.role == 'x' %}{% continue %}{% endif %}{{ m }}{% endfor %}",
    "{{ messages | tojson }} {{ messages | tojson(indent=2) }} {{ tools }} {{ documents }}",
    "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}",
    "{{ bos_token }}{{ eos_token }}{{ mask_token }}{{ add_generation_prompt }}{{ extra }}",
    "{{ strftime_now('%d %b %Y') }}",
    "{{ raise_exception('no') }}",
    "{{ messages.append(1) }}",
)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_has_what_transformers_gives_it(
    made_r1_tokenizer: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = [{"role": "user", "content": "<a> & 'b' ö"}]
    more = {"add_generation_prompt": True, "extra": 7, "strftime_now": lambda form: f"<{form}>"}

    def written(tokenizer: Any) -> str:
        monkeypatch.setattr(tokenizer, "chat_template", template)
        try:
            return str(tokenizer.apply_chat_template(turns, tokenize=False, **more))
        except TemplateError as error:
            return f"{type(error).__name__}: {error}"

    ours, theirs = (written(each) for each in both(made_r1_tokenizer))
    assert ours == theirs


def test_a_template_cannot_reach_python() -> None:
    with pytest.raises(TemplateError):
        compiled("{{ ''.__class__.__mro__[1].__subclasses__() }}").render()


def edited(file: Path, **changes: Any) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | changes), encoding="utf-8")


PAD = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None}
PAD |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "!"}  # type: ignore[dict-item]


def added(**flags: Any) -> dict[str, Any]:
    token = {"content": "<new>", "lstrip": False, "rstrip": False, "normalized": False}
    return {"151700": token | {"single_word": False, "special": True} | flags}


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "tokenizer_config.json").unlink(),
        lambda folder: (folder / "additional_chat_templates").mkdir(),
        lambda folder: (folder / "special_tokens_map.json").write_text("{}"),
        lambda folder: edited(folder / "tokenizer_config.json", bos_token="<new>"),
        lambda folder: edited(folder / "tokenizer_config.json", extra_special_tokens=["<new>"]),
        lambda folder: edited(folder / "tokenizer_config.json", image_token="<new>"),
        lambda folder: edited(folder / "tokenizer_config.json", added_tokens_decoder=added()),
        lambda folder: edited(folder / "tokenizer_config.json", split_special_tokens=True),
        lambda folder: edited(folder / "tokenizer_config.json", chat_template=[]),
        lambda folder: edited(folder / "tokenizer.json", padding=PAD),
    ],
)
def test_what_transformers_would_add_is_left_to_transformers(
    made_r1_tokenizer: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    copy = Path(shutil.copytree(made_r1_tokenizer, tmp_path / "copy"))
    (copy / "chat_template.jinja").unlink()
    assert read_plain(copy) is not None
    change(copy)
    assert read_plain(copy) is None


# --- whole by its names and shapes ------------------------------------------------------------

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "vocab_size": 50}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Llama", {}),
        ("Llama", {"attention_bias": True, "mlp_bias": True}),
        ("Llama", {"head_dim": 8}),
        ("Qwen2", {}),
    ],
)
def test_what_transformers_saves_is_known_to_be_whole(
    tmp_path: Path, kind: str, more: dict[str, Any], is_tied: bool
) -> None:
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        **SIZES, **more, tie_word_embeddings=is_tied, bos_token_id=1, eos_token_id=2
    )
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    model.save_pretrained(tmp_path)
    assert embedding_rows_if_whole(tmp_path) == SIZES["vocab_size"]
    for key in ("num_hidden_layers", "intermediate_size", "vocab_size", "num_key_value_heads"):
        before = (tmp_path / "config.json").read_text(encoding="utf-8")
        edited(tmp_path / "config.json", **{key: 1})
        assert embedding_rows_if_whole(tmp_path) is None, key
        (tmp_path / "config.json").write_text(before, encoding="utf-8")
    edited(tmp_path / "config.json", architectures=["OtherForCausalLM"])
    assert embedding_rows_if_whole(tmp_path) is None
