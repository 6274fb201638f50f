"""Options of a protocol: off by default, in the fingerprint where set, in prompts and requests."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from harness.config.changes import config_changes, deciding
from harness.config.settings import ProtocolConfig
from harness.engines.model_list import Served
from harness.engines.openai_engine import OpenaiConfig, _refuse_contradicted, _refuse_unknown
from harness.engines.wire import Mode, body
from harness.errors import ConfigError, TaskError
from harness.io import paths
from harness.io.paths import TASKS_DIR
from harness.models.chat_tokenizer import Codec, PromptOptions, ServersCodec, Times
from harness.records import Example, GenerationRequest, MathReference, Problem, Prompt, Sampling
from harness.runner.pipeline import build_requests
from harness.runner.sweep.words import words
from harness.store.fingerprint import Rendering, fingerprint, protocol_fields
from harness.tasks import (
    Shots,
    definition_sha256,
    load_spec,
    load_task,
    parse_selection,
    task_names,
)
from tests.conf.test_compose import compose

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPTIONS = {
    "system_prompt": ("protocol.system_prompt='Be brief.'", "Be brief."),
    "stop": ("protocol.stop=['Question:','###']", ["Question:", "###"]),
    "min_p": ("protocol.min_p=0.1", 0.1),
    "repetition_penalty": ("protocol.repetition_penalty=1.2", 1.2),
    "chat_template_kwargs": (
        "+protocol.chat_template_kwargs.enable_thinking=false",
        {"enable_thinking": False},
    ),
}
PROBLEM = Problem(problem_id="t/1", question="1+1?", reference=MathReference(answer="2"))
SHOWN = (
    Example(example_id="t/a", question="2+2?", answer="It is 4."),
    Example(example_id="t/b", question="3+3?", answer="It is 6."),
)
TEMPLATE = (
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}[assistant]"
    "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
)


def fields(protocol: ProtocolConfig, shots: Shots | None = None) -> dict[str, Any]:
    task = load_task(parse_selection("math_mini"), None, shots)
    return protocol_fields(task, protocol, Rendering("0" * 64, None), "s@1", {})


# --- configuration and fingerprint --------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_in_the_fingerprint_where_it_is_set(name: str) -> None:
    override, value = OPTIONS[name]
    plain, changed = compose().protocol, compose(override).protocol
    assert plain.options == {}
    assert changed.options == {name: value}
    off, on = fields(plain), fields(changed)
    assert {key: on[key] for key in on.keys() - off.keys()} == {name: value}
    assert fingerprint(off) != fingerprint(on)
    assert deciding(config_changes(compose(), compose(override))) != []


def test_options_that_are_off_leave_the_fingerprint_as_it_was() -> None:
    """What was hashed before there were options; another hash would part old runs from new."""
    before = {
        *("task", "task_version", "problems_sha256", "subset", "subset_sha256", "prompt_sha256"),
        *("template_sha256", "force_think", "temperature", "top_p", "top_k", "max_new_tokens"),
        *("max_prompt_tokens", "samples_per_problem", "scorer"),
    }
    assert fields(compose().protocol).keys() == before
    off = ("protocol.min_p=0", "protocol.repetition_penalty=1", "protocol.stop=[]")
    assert fields(compose(*off).protocol) == fields(compose().protocol)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["protocol.stop='Question:'"], "protocol.stop=Question:: "),
        (["protocol.stop=['']"], "protocol.stop.0="),
        (["protocol.min_p=1.5"], "protocol.min_p=1.5"),
        (["protocol.repetition_penalty=0"], "protocol.repetition_penalty=0"),
        (["protocol.fewshot=-1"], "protocol.fewshot=-1"),
        (["+protocol.chat_template_kwargs.tokenize=true"], "tokenize"),
        (["protocol.chat=false", "+protocol.chat_template_kwargs.a=1"], "need chat=true"),
        (["protocol.chat=false", "protocol.fewshot_as_multiturn=true"], "needs chat=true"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_line(overrides: list[str], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(*overrides)
    assert named in str(caught.value)


def test_a_new_variable_takes_a_plus_sign_and_the_message_says_so() -> None:
    from hydra.errors import HydraException

    variable = "protocol.chat_template_kwargs.enable_thinking"
    with pytest.raises(HydraException) as caught:
        compose(f"{variable}=false")
    advised = words(caught.value).rpartition(" ")[2].replace("VALUE", "false")
    assert compose(advised).protocol.options == {"chat_template_kwargs": {"enable_thinking": False}}


# --- prompts ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> "PreTrainedTokenizerBase":
    """Bytes as tokens, so that stop texts cross token boundaries wherever they can."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = BPE({letter: number for number, letter in enumerate(alphabet)}, [])
    made = Tokenizer(model)
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>")


@pytest.fixture
def codec(tokenizer: "PreTrainedTokenizerBase") -> Codec:
    tokenizer.chat_template = TEMPLATE
    return Codec(tokenizer, frozenset())


def prompt(codec: Codec, *, chat: bool = True, **options: Any) -> Prompt:
    return codec.prompt(
        PROBLEM,
        "Q: {question}",
        chat=chat,
        force_think=False,
        options=PromptOptions(**options),
    )


def test_a_system_prompt_is_the_first_turn(codec: Codec) -> None:
    made = prompt(codec, system_prompt="Be brief.")
    assert made.text == "[system]Be brief.\n[user]Q: 1+1?\n[assistant]"
    assert codec.words(made.token_ids) == made.text
    assert [(turn.role, turn.content) for turn in made.earlier_turns] == [("system", "Be brief.")]
    assert made.user_text == "Q: 1+1?"


def test_without_a_template_the_system_prompt_comes_first(codec: Codec) -> None:
    assert prompt(codec, chat=False, system_prompt="Be brief.").text == "Be brief.\n\nQ: 1+1?"


def test_examples_are_turns_or_text(codec: Codec) -> None:
    turns = prompt(codec, examples=SHOWN)
    assert turns.text == (
        "[user]Q: 2+2?\n[assistant]It is 4.\n[user]Q: 3+3?\n[assistant]It is 6.\n"
        "[user]Q: 1+1?\n[assistant]"
    )
    assert [turn.role for turn in turns.earlier_turns] == ["user", "assistant"] * 2
    text = prompt(codec, examples=SHOWN, has_turns=False)
    told = "Q: 2+2?\n\nIt is 4.\n\nQ: 3+3?\n\nIt is 6.\n\nQ: 1+1?"
    assert text.text == f"[user]{told}\n[assistant]"
    assert (text.user_text, text.earlier_turns) == (told, ())
    assert prompt(codec, chat=False, examples=SHOWN, has_turns=False).text == told


def test_variables_reach_the_template(codec: Codec) -> None:
    assert prompt(codec).text.endswith("[assistant]")
    made = prompt(codec, template_kwargs={"enable_thinking": False})
    assert made.text.endswith("[assistant]<think></think>")
    assert not made.opened_think


def test_without_options_a_prompt_is_what_it_was(codec: Codec) -> None:
    made = prompt(codec)
    plain = codec.prompt(PROBLEM, "Q: {question}", chat=True, force_think=False)
    assert made == plain
    assert (made.earlier_turns, made.template_kwargs) == ((), {})


def test_options_that_the_template_ignores_are_refused(
    codec: Codec, tokenizer: "PreTrainedTokenizerBase", caplog: pytest.LogCaptureFixture
) -> None:
    good = PromptOptions(system_prompt="Be brief.", template_kwargs={"enable_thinking": False})
    codec.check_options(good)
    with pytest.raises(ConfigError, match=r"chat_template_kwargs\.enable_thought=False"):
        codec.check_options(PromptOptions(template_kwargs={"enable_thought": False}))
    assert not caplog.records
    codec.check_options(PromptOptions(template_kwargs={"enable_thinking": True}, examples=SHOWN))
    assert len(caplog.records) == 1
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(ConfigError, match=r"^protocol\.system_prompt: .* system's turn"):
        codec.check_options(PromptOptions(system_prompt="Be brief."))
    tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ messages[-1].content }}"
    )
    with pytest.raises(ConfigError, match=r"^protocol\.system_prompt: .*no system"):
        codec.check_options(PromptOptions(system_prompt="Be brief."))


def test_a_server_that_renders_gets_turns_and_variables() -> None:
    made = prompt(
        ServersCodec(), system_prompt="Be brief.", examples=SHOWN, template_kwargs={"a": 1}
    )
    (request,) = build_requests([made], sampling(), 1, 0)
    sent = body(request, "chat", "vllm", ServersCodec())
    assert [each["role"] for each in sent["messages"]] == [
        *("system", "user", "assistant", "user", "assistant", "user")
    ]
    assert sent["messages"][-1]["content"] == "Q: 1+1?"
    assert sent["chat_template_kwargs"] == {"a": 1}
    assert "chat_template_kwargs" not in body(request, "tokens", "vllm", ServersCodec())


# --- requests over HTTP -------------------------------------------------------------------------


def sampling(**options: Any) -> Sampling:
    return Sampling(temperature=0, top_p=1, top_k=None, max_new_tokens=9, **options)


def request(**options: Any) -> GenerationRequest:
    return GenerationRequest(
        request_id="t/1#0",
        problem_id="t/1",
        prompt_token_ids=(1, 2),
        prompt_opened_think=False,
        sampling=sampling(**options),
        seed=0,
        user_text="?",
    )


ASKED = {"min_p": 0.1, "repetition_penalty": 1.2, "stop": ("###",)}


@pytest.mark.parametrize("mode", ["tokens", "chat"])
@pytest.mark.parametrize("software", ["vllm", "sglang", "llamacpp", "unknown"])
def test_options_reach_servers(mode: Mode, software: str) -> None:
    sent = body(request(**ASKED), mode, software, ServersCodec())
    assert sent["stop"] == ["###"]
    assert sent["min_p"] == 0.1
    assert sent["repetition_penalty"] == 1.2
    own = sent.get("repeat_penalty"), sent.get("repeat_last_n")
    assert own == ((1.2, -1) if software == "llamacpp" else (None, None))
    plain = body(request(), mode, software, ServersCodec())
    assert "stop" not in plain
    assert plain.get("min_p", 0.0) == 0.0
    assert plain.get("repetition_penalty", 1.0) == 1.0


def test_a_server_that_may_ignore_an_option_is_not_asked() -> None:
    served = Served("m", "unknown", "unknown", None)

    def config(**extra: object) -> OpenaiConfig:
        return OpenaiConfig(kind="openai", base_url="http://h/v1", mode="chat", extra_body=extra)

    _refuse_unknown([request(stop=("###",))], served, config())  # OpenAI's API has it
    with pytest.raises(ConfigError, match=r"^protocol\.min_p=0\.1: .*engine\.extra_body\.min_p"):
        _refuse_unknown([request(min_p=0.1)], served, config())
    _refuse_unknown([request(min_p=0.1)], served, config(min_p=0.1))
    with pytest.raises(ConfigError, match=r"^protocol\.repetition_penalty=1\.2"):
        _refuse_unknown([request(repetition_penalty=1.2)], served, config())
    _refuse_unknown([request(min_p=0.1)], Served("m", "vllm", "1", None), config())


KWARGS = {"enable_thinking": False}


@pytest.mark.parametrize(
    ("asked", "extra", "key"),
    [
        ({"min_p": 0.1}, {"min_p": 0.2}, "min_p"),
        ({}, {"min_p": 0.2}, "min_p"),
        ({"repetition_penalty": 1.2}, {"repetition_penalty": 1.0}, "repetition_penalty"),
        ({"repetition_penalty": 1.2}, {"repeat_penalty": 1.1}, "repeat_penalty"),
        ({}, {"chat_template_kwargs": KWARGS}, "chat_template_kwargs"),
        ({"min_p": 0.1}, {"min_p": 0.1}, None),
        ({"repetition_penalty": 1.2}, {"repeat_penalty": 1.2}, None),
        ({}, {"min_p": 0, "repetition_penalty": 1, "top_a": 0.1}, None),
    ],
)
def test_what_the_protocol_says_is_not_replaced_by_an_extra_field(
    asked: dict[str, float], extra: dict[str, object], key: str | None
) -> None:
    config = OpenaiConfig(kind="openai", base_url="http://h/v1", mode="chat", extra_body=extra)
    if key is None:
        _refuse_contradicted(request(**asked), config)
        return
    with pytest.raises(ConfigError, match=rf"^engine\.extra_body\.{key}="):
        _refuse_contradicted(request(**asked), config)


@pytest.mark.parametrize("mode", ["tokens", "chat"])
def test_template_options_may_be_said_twice_alike(mode: Mode) -> None:
    extra = {"chat_template_kwargs": KWARGS}
    config = OpenaiConfig(kind="openai", base_url="http://h/v1", mode=mode, extra_body=extra)
    _refuse_contradicted(request().model_copy(update={"template_kwargs": KWARGS}), config)


def test_an_option_that_is_set_cannot_be_left_out() -> None:
    server = ("engine=openai", "engine.base_url=http://h/v1", "protocol.min_p=0.1")
    with pytest.raises(ConfigError, match=r"engine\.omit=min_p: protocol\.min_p=0\.1 is set"):
        compose(*server, "engine.omit=[min_p]")


# --- stop texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "stop", "left"),
    [
        ("one ### two", ("###",), "one "),
        ("one ## two", ("###",), None),
        ("a é ü ###", ("é ü",), "a "),
        ("x 😀😀 y", ("😀 y", "zz"), "x 😀"),
        ("ab", ("b", "ab"), ""),
        ("###", ("###",), ""),
        ("", ("###",), None),
        ("x" * 500 + "END" + "x", ("END",), "x" * 500),
    ],
)
def test_a_stop_text_ends_an_answer_wherever_its_tokens_part(
    codec: Codec,
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    stop: tuple[str, ...],
    left: str | None,
) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False)
    count = codec.tokens_until(ids, stop)
    whole = [n for n in range(len(ids) + 1) if any(s in codec.words(ids[:n]) for s in stop)]
    assert count == (whole[0] if whole else None)
    # the same, told token by token
    told = (n for n in range(1, len(ids) + 1) if codec.tokens_until(ids[:n], stop, n - 1))
    assert next(told, None) == count
    answer = codec.completion(request(stop=stop), ids[:count], Times())
    if left is None:
        assert (answer.text, answer.finish_reason) == (text, "length")
    else:
        assert (answer.text, answer.finish_reason) == (left, "stop")
        assert answer.completion_tokens == count


# --- examples -----------------------------------------------------------------------------------


@pytest.fixture
def own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tasks with one of ours in it, whose examples a test writes."""
    folder = tmp_path / "tasks"
    shutil.copytree(TASKS_DIR / "math_mini", folder / "math_mini")
    monkeypatch.setattr(paths, "TASKS_DIR", folder)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    return folder / "math_mini"


def define(folder: Path, fewshot: dict[str, Any] | None) -> None:
    file = folder / "task.yaml"
    spec = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**spec, "fewshot": fewshot}), encoding="utf-8")


@pytest.mark.parametrize("name", task_names())
def test_shipped_examples_end_as_the_prompt_asks(name: str) -> None:
    spec = load_spec(name)
    for example in spec.fewshot.examples if spec.fewshot else ():
        assert spec.scorer == "math_answer"
        assert example.answer.count("\\boxed{") == 1
        assert example.answer.endswith("}$.") or example.answer.endswith("}.")


def examples(number: int, seed: int = 0) -> list[Example]:
    return list(load_task(parse_selection("math_mini:5"), None, Shots(number, seed)).examples)


def test_listed_examples_are_taken_in_their_order(own_tasks: Path) -> None:
    before = definition_sha256(load_spec("math_mini"))
    listed = [{"question": f"{n}+{n}?", "answer": f"\\boxed{{{2 * n}}}"} for n in range(3)]
    define(own_tasks, {"examples": listed})
    assert [each.question for each in examples(2)] == ["0+0?", "1+1?"]
    assert examples(2, seed=5) == examples(2)
    assert [each.example_id for each in examples(1)] == ["math_mini/fewshot/0"]
    assert definition_sha256(load_spec("math_mini")) != before
    with pytest.raises(TaskError, match=r"^protocol\.fewshot=4: task math_mini has 3 examples"):
        examples(4)


def test_no_example_is_a_problem_of_the_task(own_tasks: Path) -> None:
    problems = load_task(parse_selection("math_mini")).problems
    asked = load_task(parse_selection("math_mini:5")).problems
    other = next(each for each in problems if each not in asked)
    listed = [
        {"question": f" {asked[0].question}\n", "answer": "x"},
        {"question": other.question, "answer": "x"},
        {"question": "1+1?", "answer": "2"},
    ]
    define(own_tasks, {"examples": listed})
    assert [each.question for each in examples(1)] == ["1+1?"]


def test_examples_of_a_data_set_are_drawn_by_the_seed(own_tasks: Path) -> None:
    rows = (own_tasks / "problems.jsonl").read_text(encoding="utf-8").splitlines()[:12]
    text = "\n".join(row.replace('"problem": "', '"problem": "Think. ') for row in rows)
    (own_tasks / "examples.jsonl").write_text(f"{text}\n", encoding="utf-8")
    sources = [{"kind": "embedded", "file": "examples.jsonl"}]
    define(own_tasks, {"sources": sources, "answer": "solution"})
    first = examples(4)
    assert len({each.example_id for each in first}) == 4
    assert examples(4) == first
    assert examples(4, seed=1) != first
    assert examples(2) == first[:2]
    assert all(each.question.startswith("Think. ") for each in first)
    assert all(len(each.answer) > 20 for each in first), "the solution and not the answer alone"


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ('"half of \\ud800"', "'solution' .*surrogate"),
        ('["x"]', "'solution' .*list"),
        ('" "', ".*example .*'solution'"),
    ],
)
def test_a_row_that_is_no_example_is_named(own_tasks: Path, cell: str, words: str) -> None:
    text = f'{{"unique_id": "1", "problem": "q", "solution": {cell}}}\n'
    (own_tasks / "examples.jsonl").write_text(text, encoding="utf-8")
    sources = [{"kind": "embedded", "file": "examples.jsonl"}]
    define(own_tasks, {"sources": sources, "answer": "solution"})
    with pytest.raises(TaskError, match=rf"examples\.jsonl:1: {words}"):
        examples(1)


@pytest.mark.parametrize("name", task_names())
def test_any_task_takes_examples_of_the_users(name: str, tmp_path: Path, shared_data: Path) -> None:
    rows = [{"question": f"{n} and {n}?", "answer": f"It is {2 * n}."} for n in range(3)]
    file = tmp_path / f"{name}.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    for given in (file, tmp_path):
        task = load_task(parse_selection(f"{name}:2"), shared_data, Shots(2, 0, str(given)))
        assert [each.answer for each in task.examples] == ["It is 0.", "It is 2."]
    protocol = compose("protocol.fewshot=2", f"protocol.fewshot_file={file}").protocol
    made = protocol.prompt_options(task)
    assert len(made.earlier_turns(task.spec.prompt)) == 4
    text = made._replace(has_turns=False).user_text(task.spec.prompt, "last?")
    assert text.index("0 and 0?") < text.index("It is 0.") < text.index("last?")


def test_examples_of_the_users_are_named_where_they_are_wrong(tmp_path: Path) -> None:
    def examples_of(text: str) -> None:
        (tmp_path / "mine.jsonl").write_text(text, encoding="utf-8")
        shots = Shots(1, 0, str(tmp_path / "mine.jsonl"))
        load_task(parse_selection("math_mini:5"), None, shots)

    with pytest.raises(TaskError, match=r"mine\.jsonl:1: .*'answer'"):
        examples_of('{"question": "1+1?"}\n')
    question = load_task(parse_selection("math_mini:5")).problems[0].question
    with pytest.raises(TaskError, match=r"^protocol\.fewshot=1: .*mine\.jsonl has 0 examples"):
        examples_of(json.dumps({"question": question, "answer": "x"}))
    with pytest.raises(TaskError, match=r"^protocol\.fewshot_file=.*none: no file"):
        load_task(parse_selection("math_mini:5"), None, Shots(1, 0, str(tmp_path / "none")))
    with pytest.raises(ConfigError, match=r"fewshot_file=x\.jsonl needs fewshot"):
        compose("protocol.fewshot_file=x.jsonl")


def test_a_task_says_what_joins_question_and_answer_in_a_text(own_tasks: Path) -> None:
    listed = [{"question": "1+1?", "answer": "2"}]
    define(own_tasks, {"examples": listed, "before_answer": " "})
    text = compose("protocol.chat=false", "protocol.fewshot=1", "tasks=[math_mini]").protocol
    task = load_task(parse_selection("math_mini:1"), None, text.shots)
    prompt = task.spec.prompt
    first = prompt.replace("{question}", "1+1?")
    last = prompt.replace("{question}", "x?")
    assert text.prompt_options(task).user_text(prompt, "x?") == f"{first} 2\n\n{last}"
    assert fields(text, text.shots)["fewshot_before_answer"] == " "
    turns = compose("protocol.fewshot=1", "tasks=[math_mini]").protocol
    assert "fewshot_before_answer" not in fields(turns, turns.shots)


def test_a_task_without_examples_is_refused(own_tasks: Path) -> None:
    define(own_tasks, None)
    with pytest.raises(TaskError, match=r"^protocol\.fewshot=1: task math_mini .*examples"):
        examples(1)


def test_examples_are_in_the_fingerprint(own_tasks: Path) -> None:
    listed = [{"question": f"{n}+{n}?", "answer": "x"} for n in range(3)]
    define(own_tasks, {"examples": listed})
    one, two = (compose(f"protocol.fewshot={n}", "tasks=[math_mini]").protocol for n in (1, 2))
    with_one, with_two = fields(one, one.shots), fields(two, two.shots)
    assert with_one["fewshot"] == 1
    assert with_one["fewshot_as_multiturn"] is True
    assert len(with_one["fewshot_sha256"]) == 64
    assert with_one["fewshot_sha256"] != with_two["fewshot_sha256"]
    define(own_tasks, {"examples": [{**each, "answer": "y"} for each in listed]})
    assert fields(one, one.shots)["fewshot_sha256"] != with_one["fewshot_sha256"]
