"""Secrets are struck out in whatever spelling a message quotes them."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cli.main import main
from harness.config.settings import load_run_config, refuse_secret
from harness.engines.endpoint import secret_header
from harness.engines.request_error import MAX_REASON, one_line
from harness.errors import ConfigError
from harness.io import redaction
from harness.io.redaction import describe_secret, is_variable_name, keep_secret, redact
from tests.facts import narrowed

WORD = "Zq7Xw9Kp3Vt5"
"""In every drawn key, so that a piece of one that is left in a text is found."""
ENDINGS = st.text(st.sampled_from(" \t\r\n\x0b\x0c\x85\u2028"), max_size=3)
MIDDLES = st.text(st.sampled_from("-_.+/=&%\"'\\<>#? \n\réß日😀"), max_size=6)
KEYS = st.builds(lambda a, m, b, c: f"{a}{WORD}{m}{WORD}{b}{c}", ENDINGS, MIDDLES, ENDINGS, MIDDLES)
SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.strip,
    repr,
    ascii,
    lambda key: repr(key.encode()),
    lambda key: repr(repr(key)),
    lambda key: json.dumps({"said": key}),
    lambda key: json.dumps(json.dumps(key)),
    lambda key: json.dumps(key, ensure_ascii=False),
    quote,
    quote_plus,
    lambda key: quote(key, safe="").lower().replace(WORD.lower(), WORD),
    html.escape,
    lambda key: " ".join(key.split()),
    lambda key: str(ValueError(f"Illegal header value {f'Bearer {key}'.encode()!r}")),
    lambda key: repr(UnicodeEncodeError("ascii", key, 0, 1, "ordinal not in range")),
]
unhurried = settings(deadline=None, derandomize=True)


@pytest.fixture(autouse=True)
def no_kept_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_kept", set())


@unhurried
@given(key=KEYS, spell=st.sampled_from(SPELLINGS), around=st.text(max_size=10))
def test_a_kept_key_is_struck_out_in_every_spelling(
    key: str, spell: Callable[[str], str], around: str
) -> None:
    redaction._kept.clear()
    keep_secret(key)
    text = redact(f"{around} {spell(key)} {around}")
    assert WORD not in text
    assert "***" in text


@unhurried
@given(key=KEYS, spell=st.sampled_from(SPELLINGS))
def test_so_is_the_value_of_a_variable_whose_name_says_it_is_one(
    key: str, spell: Callable[[str], str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EXAMPLE_API_KEY", key)
        assert WORD not in redact(spell(key))
        assert describe_secret(spell(key)) is not None


@unhurried
@given(key=KEYS)
def test_an_error_is_cut_after_its_keys_are_struck_out(key: str) -> None:
    redaction._kept.clear()
    keep_secret(key)
    for length in (30, 10, 1):
        assert WORD[:6] not in one_line(f"{'x' * (MAX_REASON - length)} {key}")


def test_a_short_key_is_struck_out_where_it_is_a_word() -> None:
    keep_secret("abc")
    assert redact("the key abc is no abcde") == "the key *** is no abcde"


@unhurried
@given(
    user=st.text(st.sampled_from("ab:@/?#é%.-"), min_size=1, max_size=8),
    path=st.sampled_from(["", "/v1", "/v1?x=1"]),
)
def test_the_user_part_of_a_url_is_struck_out(user: str, path: str) -> None:
    url = f"http://me:{WORD}{user}@host:8000{path}"
    assert WORD not in redact(f"GET {url} failed")
    assert describe_secret(url) is not None


@pytest.mark.parametrize(
    "text",
    [
        f"http://host/v1?api_key={WORD}&x=1",
        f"http://host/v1?x=1&key={WORD}",
        f"http://host/v1?access_token={WORD}",
        f"engine.api_key={WORD}",
        f'{{"api_key": "{WORD}"}}',
        f"{{'Authorization': b'Bearer {WORD}'}}",
        f"Authorization: Basic {base64.b64encode(WORD.encode()).decode()}",
        f"authorization: bearer {WORD.lower()}",
        f"password={WORD}]{WORD}",
        f"engine.api_key_env={WORD.lower()}",
        f"api_key_env: {WORD.lower()}\n",
        "Incorrect API key provided: sk-proj-abcdEFGH1234ijkl5678",
        "hf_abcdEFGHijklMNOPqrst is not valid",
        "token gsk_abcdEFGHijklMNOPqrst",
    ],
)
def test_keys_of_which_nothing_is_known_are_struck_out_by_form_or_name(text: str) -> None:
    shown = redact(text).lower()
    assert WORD.lower() not in shown
    assert base64.b64encode(WORD.encode()).decode().lower() not in shown
    assert "ijkl" not in shown
    assert "***" in shown
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "max_new_tokens=5, eos_token=</s>, token: '{'",
        "model.path=/models/sk-learn-something-long and hf_transformers_model",
        "engine.base_url=http://127.0.0.1:8000/v1 serves org/model@main",
        "engine.api_key_env=EXAMPLE_API_KEY: unset",
        "basic arithmetic, bearer of news",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert redact(text) == text
    assert describe_secret(text) is None


# --- keys that come by a variable --------------------------------------------------------------


@unhurried
@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1), end=ENDINGS)
def test_white_space_around_a_key_is_left_out(key: str, end: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OWN_SRV", f"{end}{key}{end}")
        assert secret_header("engine.api_key_env", "OWN_SRV") == key


@unhurried
@given(key=KEYS.filter(lambda key: not (key.strip().isascii() and key.strip().isprintable())))
def test_a_key_that_no_header_takes_is_refused_and_not_shown(key: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OWN_SRV", key)
        with pytest.raises(ConfigError, match=r"^engine\.api_key_env=OWN_SRV: ") as caught:
            secret_header("engine.api_key_env", "OWN_SRV")
    assert WORD not in str(caught.value)


@pytest.mark.parametrize("value", [None, "", " \r\n"])
def test_an_empty_variable_is_no_key(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv("OWN_SRV_KEY", value)
    with pytest.raises(ConfigError, match=r"^engine\.api_key_env=OWN_SRV_KEY: "):
        secret_header("engine.api_key_env", "OWN_SRV_KEY")


@pytest.mark.parametrize(
    ("text", "is_name"),
    [
        ("OPENAI_API_KEY", True),
        ("own_srv", True),  # set
        ("own_other", False),
        ("abcdef0123456789", False),
        ("gsk_abcdEFGHijklMNOPqrst", False),
        ("AKIAIOSFODNN7EXAMPLE", False),
        ("sk-abc", False),
        ("A KEY", False),
        ("", False),
    ],
)
def test_only_a_variables_name_is_shown(
    text: str, is_name: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("own_srv", "x")
    assert is_variable_name(text) is is_name


# --- the configuration ------------------------------------------------------------------------


@unhurried
@given(key=st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: WORD + text))
def test_a_key_in_the_place_of_a_name_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigError, match=r"^engine\.api_key_env: ") as caught:
        refuse_secret("engine.api_key_env", key)
    assert WORD not in str(caught.value)


@pytest.mark.parametrize("null", ["null", "NULL", " null"])
@pytest.mark.parametrize("key", ["engine.api_key_env", "+engine.headers_env.X-Key"])
def test_no_variable_is_no_secret(null: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--cfg", "job", "engine=openai", f"{key}={null}"]) == 0
    assert "null" in capsys.readouterr().out


@pytest.mark.parametrize(
    "engine",
    [
        {"api_key": WORD},
        {"api_key_env": WORD.lower()},
        {"api_key_env": f"sk-{WORD}"},
        {"api_key_env": [WORD]},
        {"extra_body": {"api_key": WORD}},
        {"extra_body": {"headers": {"Authorization": WORD}}},
        {"extra_body": {"note": f"sk-{WORD}{WORD}"}},
        {"base_url": f"http://me:{WORD}@host/v1"},
        {"base_url": f"http://host/v1?k={WORD}"},
        {"base_url": f"host/v1#{WORD}"},
        {"base_url": f"me:{WORD}@host/v1"},
    ],
)
def test_a_configuration_with_a_secret_is_refused_and_the_secret_not_shown(
    engine: dict[str, object], composed: dict[str, object]
) -> None:
    known = {"kind": "openai", "base_url": "http://host/v1", "mode": "chat"}
    with pytest.raises(ConfigError) as caught:
        load_run_config({**composed, "engine": {**known, **engine}})
    assert WORD.lower() not in redact(str(caught.value)).lower()


@pytest.fixture(scope="module")
def composed() -> dict[str, object]:
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from harness.io.paths import CONF_DIR

    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose(
            "config",
            [
                "model=remote",
                "model.name=x",
                "protocol=greedy",
                "engine=openai",
                "engine.base_url=http://host/v1",
                "engine.mode=chat",
            ],
        )
    plain = OmegaConf.to_container(config, resolve=True)
    return narrowed(dict, plain)
