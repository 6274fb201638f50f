"""Every model's ids are those of its ``tokenizer.json``, whatever class its configuration names."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from tokenizers import Tokenizer

from harness.errors import CanaryError, UnavailableError
from harness.io.paths import CONF_DIR
from harness.models import ResolvedModel, WheelModel, wheel_folder
from harness.models.chat_tokenizer import Codec, Times
from harness.models.plain_tokenizer import MORE_TEMPLATES
from harness.models.tokenizer_files import load_tokenizer
from harness.records import GenerationRequest, MathReference, Problem, Sampling
from harness.runner.smoke_test.smoke_test import Canary
from harness.tasks import load_spec
from tests.conf.test_compose import compose
from tests.unit.test_canary import Lenient

# As the repositories of conf/model name them: Qwen2.5 and its distills, Llama 3's distills and
# DeepSeek-V2, and what save_pretrained of transformers 5 writes.
CLASSES = ("Qwen2Tokenizer", "LlamaTokenizerFast", "LlamaTokenizer", "TokenizersBackend")
TEXTS = (
    "What is 2 + 3?",
    "  two  blanks\n\n\tand a tab ",
    "<think>\nx\n</think>\n\n$\\boxed{\\frac{1}{2}}$",
    "<\uff5cUser\uff5c>12345 naïve 日本語<\uff5cAssistant\uff5c>",
    '    def f(n):\n        """Doc."""\n        return n\n',
)


@pytest.fixture(scope="module", params=CLASSES)
def any_model(
    request: pytest.FixtureRequest, r1_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> ResolvedModel:
    """The vocabulary of R1's Qwen distills under another class's name."""
    return renamed(request.param, r1_tokenizer, tmp_path_factory)


@pytest.fixture(scope="module")
def model(r1_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    """As the distills of Llama name it."""
    return renamed("LlamaTokenizerFast", r1_tokenizer, tmp_path_factory)


def renamed(name: str, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    folder = tmp_path_factory.mktemp("snapshots") / "0123abcd"
    shutil.copytree(tokenizer, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config |= {"tokenizer_class": name, "legacy": True, "add_bos_token": True}
    del config["backend"]
    file.write_text(json.dumps(config), encoding="utf-8")
    # What warns of Mistral's regex looks here.
    (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    return resolved(folder)


def resolved(folder: Path) -> ResolvedModel:
    return ResolvedModel(name="m", path=str(folder), revision=None, sha256=None)


def plain(model: ResolvedModel) -> "Tokenizer":
    return Tokenizer.from_file(f"{model.path}/tokenizer.json")


def test_what_goes_out_and_what_comes_back_is_tokenizer_jsons(any_model: ResolvedModel) -> None:
    codec, own = Codec.load(any_model), plain(any_model)
    for number, text in enumerate(TEXTS):
        problem = Problem(
            problem_id=f"t/{number}", question=text, reference=MathReference(answer="1")
        )
        for chat in (True, False):
            prompt = codec.prompt(problem, "{question}\n", chat=chat, force_think=False)
            ids = own.encode(prompt.text, add_special_tokens=False).ids
            assert prompt.token_ids[-len(ids) :] == tuple(ids)
            assert len(prompt.token_ids) - len(ids) == (0 if chat else 1)  # the template has BOS
        request = GenerationRequest(
            request_id=f"t/{number}#0",
            problem_id=problem.problem_id,
            prompt_token_ids=(1,),
            prompt_opened_think=False,
            sampling=Sampling(temperature=0, top_p=1, top_k=None, max_new_tokens=99),
            seed=0,
        )
        ids = own.encode(text, add_special_tokens=False).ids
        assert codec.completion(request, ids, Times()).text == text


def test_no_warning_of_another_models_regex(
    model: ResolvedModel, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    load_tokenizer(model)
    assert "regex" not in caplog.text + capfd.readouterr().err


def test_the_model_from_a_wheel_is_read_likewise() -> None:
    raw = yaml.safe_load((CONF_DIR / "model" / "smollm2_135m.yaml").read_text(encoding="utf-8"))
    folder = wheel_folder(WheelModel.model_validate(raw))
    if not (folder / "tokenizer.json").is_file():
        pytest.skip(f"needs SmolLM2 in {folder}")
    model = resolved(folder)
    tokenizer, own = load_tokenizer(model), plain(model)
    for text in TEXTS:
        ids = own.encode(text, add_special_tokens=False).ids
        assert tokenizer.encode(text, add_special_tokens=False) == ids


def test_a_file_that_is_read_otherwise_is_refused(
    model: ResolvedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a later transformers might; it is asked where more than one file holds templates."""
    import transformers

    (Path(model.path) / MORE_TEMPLATES).mkdir(exist_ok=True)
    monkeypatch.setattr(transformers, "PreTrainedTokenizerFast", transformers.LlamaTokenizer)
    with pytest.raises(UnavailableError, match=r"reads .*tokenizer\.json"):
        load_tokenizer(model)


def test_a_tokenizer_that_swallows_blanks_fails_the_smoke_test(model: ResolvedModel) -> None:
    """What 64 % of GSM8K became 26 % by."""
    from transformers import LlamaTokenizer

    broken = Codec(LlamaTokenizer.from_pretrained(model.path), frozenset())
    specs = [load_spec("math_mini")]
    with pytest.raises(CanaryError, match=r"tokenizer .*canary/sum"):
        Canary(compose(), specs, {"math_mini": Lenient()}, broken)


def test_the_made_tokenizer_is_like_the_real_one(
    made_r1_tokenizer: Path, shared_data: Path
) -> None:
    """Special tokens, splitting and prompts; the words alone are others."""
    made, real = (
        json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        for folder in (made_r1_tokenizer, shared_data / "r1-distill-qwen-tokenizer")
    )
    assert made["added_tokens"] == real["added_tokens"]
    assert len(made["model"]["vocab"]) == len(real["model"]["vocab"])
    assert made["pre_tokenizer"]["pretokenizers"][0] == real["pre_tokenizer"]["pretokenizers"][0]
    assert made["post_processor"] == real["post_processor"]


TURNS = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "<think>\none\n</think>\n\n2"},
    {"role": "user", "content": "2+2?"},
)


@pytest.mark.parametrize("file", ["chat_template.jinja", "chat_template.2025-01.jinja"])
@pytest.mark.parametrize("turns", [TURNS, TURNS[1:], TURNS[:2], TURNS[:1]], ids=len)
def test_the_made_templates_write_what_the_real_ones_do(
    made_r1_tokenizer: Path, shared_data: Path, file: str, turns: tuple[dict[str, str], ...]
) -> None:
    own = load_tokenizer(resolved(made_r1_tokenizer))
    folders = (made_r1_tokenizer, shared_data / "r1-distill-qwen-tokenizer")
    made, real = (
        own.apply_chat_template(
            list(turns),
            chat_template=(folder / file).read_text(encoding="utf-8"),
            add_generation_prompt=True,
            tokenize=False,
        )
        for folder in folders
    )
    assert made == real


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_damaged_file_is_one_line(r1_tokenizer: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(r1_tokenizer, folder, copy_function=shutil.copyfile)
    (folder / name).write_text('{"version": ', encoding="utf-8")
    model = ResolvedModel(name="cut", path=str(folder), revision=None, sha256=None)
    with pytest.raises(UnavailableError, match=r"^model=cut: no tokenizer: ") as caught:
        load_tokenizer(model)
    assert "\n" not in str(caught.value)
