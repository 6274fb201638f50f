"""The configuration: everything checked at once, in words that say what would be right."""

import copy
from typing import Any

import pytest
import yaml

from harness.config.settings import NOT_IN_IDENTITY, RunConfig, differing_keys, load_run_config
from harness.errors import ConfigError
from harness.io.paths import CONF_DIR
from harness.scorers.answers.marks import Marks, Reasoning
from harness.store.fingerprint import Rendering, fingerprint, protocol_fields
from harness.tasks import load_task, parse_selection
from tests.facts import mentions


def piece(group: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        (CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8")
    )
    return found


def composed(**changes: object) -> dict[str, Any]:
    """A whole configuration as Hydra would hand it over; keys are dotted."""
    base = yaml.safe_load((CONF_DIR / "config.yaml").read_text(encoding="utf-8"))
    plain = {key: value for key, value in base.items() if key not in {"defaults", "hydra"}}
    plain |= {
        "model": piece("model", "smollm2_135m"),
        "engine": piece("engine", "transformers"),
        "protocol": piece("protocol", "greedy"),
        "pricing": piece("pricing", "none"),
        "tasks": ["humaneval:20"],
    }
    plain = copy.deepcopy(plain)
    for dotted, value in changes.items():
        *groups, key = dotted.split("__")
        place = plain
        for group in groups:
            place = place[group]
        place[key] = value
    return plain


def mistake(**changes: object) -> str:
    with pytest.raises(ConfigError) as error:
        load_run_config(composed(**changes))
    text = str(error.value)
    assert "\n" not in text
    return text


def test_the_shipped_configuration_is_valid() -> None:
    config = load_run_config(composed())
    assert config.protocol.sampling.max_new_tokens == 400
    assert config.protocol.context_tokens == 1424


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"protocol__max_new_tokens": True}, "protocol.max_new_tokens=true: … number"),
        (
            {"seed": True, "limits__max_error_fraction": False},
            "seed=true: … number; limits.max_error_fraction=false: … number",
        ),
        ({"results_dir": ""}, "results_dir=: … 1"),
        ({"resume": ""}, "resume=: … 1"),
        ({"protocol__top_p": 0}, "protocol.top_p=0: … greater … 0"),
        ({"protocol__temperature": "warm"}, "protocol.temperature=warm: … number"),
        ({"protocol__temprature": 0.6}, "protocol.temprature=0.6: … protocol.temperature?"),
        ({"engine__gpu_mem": 1}, "engine.gpu_mem=1: … key"),
        (
            {"engine__kind": "tgi"},
            "engine: … 'tgi' … 'kind' … "
            "'transformers', 'vllm', 'vllm_server', 'openai', 'replay', 'auto'",
        ),
        ({"tasks": []}, "tasks: … 1"),
        ({"tasks": ["humaneval:20", "humaneval:30"]}, "tasks: … humaneval … twice"),
        (
            {"protocol__max_new_tokens": 8000},
            "protocol.max_prompt_tokens=1024 + protocol.max_new_tokens=8000 = 9024 tokens … "
            "model=smollm2_135m … 8192",
        ),
        (
            {"protocol__samples_per_problem": 4},
            "protocol.samples_per_problem=4 … protocol.temperature=0 … above 0",
        ),
        (
            {"sandbox__min_level": "docker"},
            "sandbox.min_level=docker: … 'namespaces', 'landlock', 'seccomp' or 'none'",
        ),
        ({"tasks": "humaneval:20"}, "tasks=humaneval:20: … tasks=[humaneval:20]"),
        (
            {"tasks": ["nope", "humaneval:0"]},
            "tasks: … 'nope' … aime24, gsm8k, gsm8k_fewshot, humaneval, math500, math_mini; "
            "'humaneval:0' … COUNT … 1",
        ),
        ({"limits__max_error_fraction": 2}, "limits.max_error_fraction=2: … less … equal … 1"),
        (
            {"purpose": {"math5000": {"expected_fraction": 0.9}}},
            "purpose: … 'math5000' … aime24, gsm8k, gsm8k_fewshot, humaneval, math500, math_mini",
        ),
        (
            {"purpose": {"math500:100": {"expected_fraction": 0.9}}},
            "purpose: 'math500:100' … subset … math500",
        ),
        (
            {"purpose": {"math500": {"published_fraction": 0.928}}},
            "purpose.math500: … published_fraction … margin_fraction … both",
        ),
        (
            {"purpose": {"math500": {"expected_fraction": 92.8}}},
            "purpose.math500.expected_fraction=92.8: … less … 1",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_names_key_value_and_what_would_be_right(
    changes: dict[str, object], facts: str
) -> None:
    first, *others = facts.split(" … ")
    said = mistake(**changes)
    assert said.startswith(first)
    assert mentions(said, first, *others)


def test_auto_pricing_keeps_no_price_that_it_would_ignore() -> None:
    rent = {"usd_per_hour": 2, "unit": "machine", "source": "me", "date": "2026-01", "grade": "P"}
    words = mistake(pricing={"name": "auto", "rented": rent})
    assert words.startswith("pricing: pricing=auto ")


def test_all_mistakes_are_listed_at_once() -> None:
    text = mistake(protocol__top_p=7, seed=-1, tasks=["nope"])
    assert text.startswith("3 ")
    assert all(key in text for key in ("protocol.top_p=7", "seed=-1", "tasks: ", "'nope'"))


def test_a_config_is_frozen() -> None:
    config = load_run_config(composed())
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 1  # type: ignore[misc]


def test_differing_keys_are_dotted_and_leave_out_what_only_says_where() -> None:
    one = load_run_config(composed())
    other = load_run_config(
        composed(
            protocol__top_p=0.5,
            seed=3,
            resume="auto",
            results_dir="/x",
            tasks=["math_mini"],
            purpose={"math_mini": {"expected_fraction": 0.1}},
        )
    )
    assert differing_keys(one, one) == []
    assert differing_keys(one, other) == ["protocol.top_p", "seed", "tasks"]


def test_what_is_left_out_of_the_comparison_is_a_key_of_the_configuration() -> None:
    assert RunConfig.model_fields.keys() >= NOT_IN_IDENTITY


def test_the_machine_of_a_dry_run_is_no_difference() -> None:
    planned = load_run_config(composed(plan_for="a100"))
    assert differing_keys(load_run_config(composed()), planned) == []


# --- how a model marks its thoughts -----------------------------------------------------------


@pytest.mark.parametrize("given", ["kimi", {"open": "<plan>", "close": "</plan>"}])
def test_a_model_says_how_it_marks_its_thoughts(given: str | dict[str, str]) -> None:
    config = load_run_config(composed(model__reasoning=given))
    assert config.model_dump(mode="json")["model"]["reasoning"] == given
    assert differing_keys(config, load_run_config(composed())) != []


def test_an_unknown_style_is_one_mistake_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"^model\.reasoning=thinks: .*\bthink, "):
        load_run_config(composed(model__reasoning="thinks"))


def test_runs_from_before_there_was_a_choice_go_on_with_think_marks() -> None:
    before, now = composed(), composed(model__reasoning="think")
    assert differing_keys(load_run_config(before), load_run_config(now)) == []


def test_the_fingerprint_holds_a_date_only_where_the_template_writes_it() -> None:
    task = load_task(parse_selection("math_mini"), None)

    def fields(**more: Any) -> dict[str, Any]:
        protocol = load_run_config(composed(protocol__date="2026-07-04")).protocol
        return protocol_fields(task, protocol, Rendering("0" * 64, None, **more), "s@1", {})

    assert "date" not in fields()
    assert fields(date="2026-07-04")["date"] == "2026-07-04"
    assert "protocol.date=today: " in mistake(protocol__date="today")


def test_the_fingerprint_holds_marks_other_than_think() -> None:
    config = load_run_config(composed())
    task = load_task(parse_selection("math_mini"), None)

    def fields(reasoning: Reasoning) -> dict[str, Any]:
        return protocol_fields(task, config.protocol, Rendering("0" * 64, reasoning), "s@1", {})

    assert fields("think") == fields(None)
    assert "reasoning" not in fields(None)
    assert fields("harmony")["reasoning"] == "harmony"
    own = {"open": "<plan>", "close": "</plan>"}
    assert fields(Marks(**own))["reasoning"] == own


def test_the_fingerprint_holds_what_is_left_to_the_server() -> None:
    config = load_run_config(composed())
    task = load_task(parse_selection("math_mini"), None)

    def fields(*omitted: str) -> dict[str, Any]:
        rendering = Rendering("0" * 64, None, omitted)
        return protocol_fields(task, config.protocol, rendering, "s@1", {})

    assert "omitted" not in fields()
    assert fields("seed", "top_p")["omitted"] == ["seed", "top_p"]
    assert fingerprint(fields("seed")) != fingerprint(fields())
