"""``harness check``: what a figure means here, what its run would be, and what runs say of it."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import harness
from harness.claims.check import (
    Asked,
    Checked,
    check_figures,
    check_table,
    check_target,
    read_table,
)
from harness.claims.check.protocol import assumed, differing, overrides, unknown_settings
from harness.claims.check.resolve import find_model, find_task, not_accuracy
from harness.claims.check.verdicts import default_margin
from harness.claims.judge import judge_claims
from harness.claims.ledger import load_ledger
from harness.claims.runs import Wanted, fitting, read_runs
from harness.cli.main import main
from harness.errors import ConfigError, UserError
from harness.interop.published_figures import PublishedFigure
from harness.io.paths import CONF_DIR
from harness.runner.compose import compose_one
from tests.facts import mentions
from tests.unit.claim_runs import make_run, spread

DISTILL = "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
SAMPLED = {
    "fewshot": 0,
    "chat": True,
    "temperature": 0.6,
    "top_p": 0.95,
    "max_new_tokens": 32768,
}
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


def figure(**changes: Any) -> PublishedFigure:
    fields = {
        "place": "card[0]",
        "model": DISTILL,
        "dataset": "HuggingFaceH4/MATH-500",
        "value": 92.8,
        "percent": 92.8,
        "protocol": SAMPLED,
    }
    return PublishedFigure(**{**fields, **changes})


def a_run(folder: Path, name: str = "run", **changes: Any) -> str:
    folder.mkdir(exist_ok=True, parents=True)
    return make_run(folder, name, **changes)


def check(published: PublishedFigure, *runs: str, **asked: Any) -> Checked:
    read = read_runs(runs, Path("results"))
    (found,) = check_figures([published], Asked(with_plan=False, **asked), read)
    return found


# --- what a figure means ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "shots", "tasks"),
    [
        ("HuggingFaceH4/MATH-500", 0, ("math500",)),
        ("MATH-500", None, ("math500",)),
        ("openai/openai_humaneval", None, ("humaneval",)),
        ("HumanEval", 0, ("humaneval",)),
        ("openai/gsm8k", 5, ("gsm8k_fewshot", "gsm8k")),
        ("gsm8k", 0, ("gsm8k", "gsm8k_fewshot")),
        ("GSM8K", None, ("gsm8k", "gsm8k_fewshot")),
        ("gsm8k_cot", 8, ("gsm8k_fewshot", "gsm8k")),
        ("minerva_math500", None, ("math500",)),
        ("humaneval_instruct", None, ("humaneval",)),
        ("openai_humaneval", None, ("humaneval",)),
        ("aime_2024", None, ("aime24",)),
        ("HuggingFaceH4/aime_2024", 0, ("aime24",)),
        ("cais/mmlu", 5, ()),
    ],
)
def test_a_benchmark_is_found_by_its_data_set(
    dataset: str, shots: int | None, tasks: tuple[str, ...]
) -> None:
    found = find_task(figure(dataset=dataset), shots)
    assert found.names == tasks
    assert (found.why_not is None) == bool(tasks)


def test_another_split_is_another_benchmark() -> None:
    found = find_task(figure(dataset="openai/gsm8k", split="train"))
    assert found.names == ()
    assert mentions(str(found.why_not), "train", "test")


def test_the_user_may_name_the_task() -> None:
    assert find_task(figure(dataset="grade school"), 0, "gsm8k").names == ("gsm8k",)
    with pytest.raises(UserError, match=r"^--task gsm9k: .*gsm8k"):
        find_task(figure(), 0, "gsm9k")


@pytest.mark.parametrize(
    ("metric", "is_accuracy"),
    [
        (None, True),
        ("accuracy", True),
        ("exact_match,strict-match", True),
        ("pass@1", True),
        ("Accuracy (0-shot)", True),
        ("pass@10", False),
        ("maj@64", False),
        ("f1", False),
        ("bleu", False),
    ],
)
def test_only_the_share_of_problems_solved_is_checked(
    metric: str | None, is_accuracy: bool
) -> None:
    assert (not_accuracy(figure(metric=metric)) is None) == is_accuracy


def test_models_are_found_by_repository_name_and_folder(tmp_path: Path) -> None:
    by_id, by_name = find_model(DISTILL), find_model("r1_distill_qwen_7b")
    assert (by_id.argument, by_id.hub_id) == ("r1_distill_qwen_7b", DISTILL)
    assert by_name == by_id
    assert find_model("org/name") == find_model("org/name")._replace(argument="org/name")
    assert find_model(str(tmp_path)).path == tmp_path
    assert find_model("no such model").argument is None
    assert find_model(None).argument is None


def test_the_same_weights_in_four_bits_are_other_weights() -> None:
    found = find_model(SMOLLM2)
    assert (found.argument, found.names) == ("smollm2_135m", ("smollm2_135m",))
    assert mentions(str(found.other_weights), "Q4_1")
    assert find_model(DISTILL).other_weights is None
    assert any("Q4_1" in each for each in check(figure(model=SMOLLM2)).caveats)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"dataset": "cais/mmlu"}, ("cais/mmlu",)),
        ({"metric": "bleu"}, ("bleu",)),
        ({"percent": None, "value": 1250}, ("1250", "no share")),
        ({"model": None}, ("--model",)),
        ({"model": "Model of ours"}, ("Model of ours",)),
    ],
)
def test_what_cannot_be_reproduced_says_why(
    changes: dict[str, Any], facts: tuple[str, ...]
) -> None:
    found = check(figure(**changes))
    assert not found.is_reproducible
    assert mentions("; ".join(found.lacks), *facts)
    assert (found.command, found.verdict) == (None, "untested")


# --- the protocol and the command ---------------------------------------------------------------


def test_a_command_says_all_that_is_known_and_composes() -> None:
    stop = ("Question:", 'say "end"')
    known = {**SAMPLED, "fewshot": 5, "stop": stop, "system_prompt": "It's 'you'."}
    found = check(figure(dataset="openai/gsm8k", protocol=known))
    words = shlex.split(found.command)
    assert words[:2] == ["harness", "run"]
    config = compose_one(words[2:])
    assert str(config.selections[0]) == "gsm8k_fewshot"
    assert config.model.name == "r1_distill_qwen_7b"
    protocol = config.protocol
    assert (protocol.fewshot, protocol.stop, protocol.temperature) == (5, stop, 0.6)
    assert protocol.system_prompt == "It's 'you'."
    assert protocol.max_prompt_tokens >= 2048, "room for the examples"


@pytest.mark.parametrize(
    ("model", "protocol"), [(DISTILL, "deepseek_r1"), ("org/name", "greedy_long")]
)
def test_a_model_that_thinks_is_asked_as_one(model: str, protocol: str) -> None:
    assert f"protocol={protocol}" in str(check(figure(model=model)).command).split()


@pytest.mark.parametrize(
    ("known", "has"),
    [
        ({"temperature": 0.0, "top_k": 0, "samples_per_problem": 8}, {"temperature": 0.0}),
        ({"temperature": 0.0, "top_k": -1, "top_p": 0.9}, {"temperature": 0.0}),
        ({"temperature": 0.6, "top_k": 0}, {"temperature": 0.6, "top_k": None}),
        ({"temperature": 0.6, "top_p": 0.0}, {"temperature": 0.6}),
        ({"chat": False, "fewshot_as_multiturn": True}, {"chat": False}),
        ({"stop": ("\n\n",)}, {"stop": ("\n\n",)}),
        ({"system_prompt": 'a\\n\n"b\\"'}, {"system_prompt": 'a\\n\n"b\\"'}),
    ],
)
def test_the_command_makes_a_run_that_has_what_is_known(
    known: dict[str, Any], has: dict[str, Any]
) -> None:
    command = check(figure(model="org/name", protocol={"fewshot": 0, **known})).command
    protocol = compose_one(shlex.split(str(command))[2:]).protocol
    assert {name: getattr(protocol, name) for name in has} == has
    assert differing(has, protocol) == []


def test_what_no_run_can_have_is_named() -> None:
    found = check(figure(protocol={"fewshot": 0, "temperature": 0.6, "top_p": 0.0}))
    assert found.known == {"fewshot": 0, "temperature": 0.6}
    assert any(mentions(caveat, "top_p=0.0") for caveat in found.caveats)


def test_unknown_settings_are_those_that_matter() -> None:
    assert set(unknown_settings({})) > {"fewshot", "temperature", "chat", "stop"}
    greedy = unknown_settings({"temperature": 0.0, "fewshot": 0})
    assert not {"top_p", "top_k", "samples_per_problem", "fewshot_as_multiturn"} & set(greedy)
    assert "top_p" in unknown_settings({"temperature": 0.6})


def test_overrides_are_hydras() -> None:
    assert overrides({"chat": True, "top_k": None, "stop": ("a,b", "c]")}) == [
        "protocol.chat=true",
        "protocol.top_k=null",
        'protocol.stop=["a,b","c]"]',
    ]


def test_what_a_user_knows_is_checked() -> None:
    assert assumed(["fewshot=4", "stop=['x']", "chat=false"]) == {
        "fewshot": 4,
        "stop": ("x",),
        "chat": False,
    }
    found = check(figure(protocol={}), assumed={"fewshot": 0})
    assert (found.known, found.assumed) == ({"fewshot": 0}, ("fewshot",))
    assert any("fewshot" in caveat for caveat in found.caveats)


@pytest.mark.parametrize(
    ("given", "facts"),
    [
        ("shots=4", ("shots=4", "fewshot")),
        ("fewshot", ("SETTING=VALUE",)),
        ("fewshot=many", ("fewshot=many", "integer")),
        ("temperature=-1", ("temperature=-1", "0")),
        ("stop=[", ("stop=[", "YAML")),
    ],
)
def test_what_a_user_cannot_know_is_one_line(given: str, facts: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"^--assume ") as error:
        assumed([given])
    assert mentions(str(error.value), *facts)


# --- verdicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("percent", "points"),
    [(92.8, 3.0), (50, 3.0), (1.4, 0.7), (98, 1.0), (0, None), (100, None)],
)
def test_no_margin_reaches_a_model_that_solves_nothing_or_all(
    percent: float, points: float | None
) -> None:
    assert default_margin(percent) == (None if points is None else pytest.approx(points))


@pytest.mark.parametrize("percent", [0.0, 100.0])
def test_a_figure_without_a_margin_is_not_judged_and_says_so(
    tmp_path: Path, percent: float
) -> None:
    run = a_run(tmp_path)
    found = check(figure(value=percent, percent=percent), run)
    assert (found.verdict, found.margin_points, found.evidence) == ("untested", None, ())
    assert any(mentions(caveat, "--margin") for caveat in found.caveats)
    given = check(figure(value=percent, percent=percent), run, margin=2.0)
    assert (given.verdict, given.margin_points) != ("untested", None)
    assert len(given.evidence) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "Model card "},
        {"source": "Model\ncard"},
        {"place": "a  b.yaml[0] "},
        {"dataset": " HuggingFaceH4/MATH-500\n"},
        {"protocol": {**SAMPLED, "samples_per_problem": 0}},
    ],
)
def test_a_text_or_number_of_a_file_that_no_table_could_have_stops_nothing(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    run = a_run(tmp_path, solved=spread(500, 4, 1856))
    assert check(figure(**changes), run, model=DISTILL).verdict == "reproduced"


@pytest.mark.parametrize(
    ("solved", "verdict"), [(1856, "reproduced"), (1500, "challenged"), (1800, "inconclusive")]
)
def test_a_run_that_fits_judges_by_the_rule_of_published_scores(
    tmp_path: Path, solved: int, verdict: str
) -> None:
    found = check(figure(), a_run(tmp_path, "run", solved=spread(500, 4, solved)))
    assert found.verdict == verdict
    (evidence,) = found.evidence
    assert evidence.run_ids == ("run",)
    assert len(evidence.intervals) == 4
    assert evidence.numbers["published"] == pytest.approx(0.928)
    assert any("system_prompt" in caveat for caveat in evidence.caveats)


@pytest.mark.parametrize(
    ("known", "facts"),
    [
        ({**SAMPLED, "temperature": 0.0}, ("temperature", "0.6", "0.0")),
        ({**SAMPLED, "fewshot": 5}, ("fewshot", "0", "5")),
        ({**SAMPLED, "chat": False}, ("chat", "True", "False")),
        ({**SAMPLED, "max_new_tokens": 256}, ("max_new_tokens", "32768", "256")),
        ({**SAMPLED, "stop": ("x",)}, ("stop", "x")),
    ],
)
def test_nothing_is_judged_whose_protocol_differs(
    tmp_path: Path, known: dict[str, Any], facts: tuple[str, ...]
) -> None:
    found = check(figure(protocol=known), a_run(tmp_path, "run"))
    (evidence,) = found.evidence
    assert (found.verdict, evidence.verdict) == ("untested", "not comparable")
    assert mentions(evidence.text, "other protocol", *facts)


def test_nothing_is_judged_without_the_number_of_examples(tmp_path: Path) -> None:
    run = a_run(tmp_path, "run", solved=spread(500, 4, 1856))
    unknown = check(figure(protocol={}), run)
    assert unknown.verdict == "untested"
    assert mentions(unknown.evidence[0].text, "fewshot", "not known", "--assume fewshot=")
    assert check(figure(protocol={}), run, assumed={"fewshot": 0}).verdict == "reproduced"


def test_more_samples_than_published_are_no_other_protocol(tmp_path: Path) -> None:
    known = {**SAMPLED, "samples_per_problem": 1}
    run = a_run(tmp_path, "run", solved=spread(500, 4, 1856))
    assert check(figure(protocol=known), run).verdict == "reproduced"


def test_runs_of_other_models_and_tasks_are_left_out(tmp_path: Path) -> None:
    other = a_run(tmp_path / "a", "a", model="r1_distill_qwen_1_5b")
    task = a_run(tmp_path / "b", "b", task="humaneval")
    assert check(figure(), other, task).evidence == ()


def test_an_unfinished_run_decides_nothing(tmp_path: Path) -> None:
    found = check(figure(), a_run(tmp_path, "run", status="interrupted"))
    assert found.evidence[0].verdict == "not comparable"
    assert mentions(found.evidence[0].text, "unfinished", "interrupted")


def test_a_part_of_the_benchmark_says_so(tmp_path: Path) -> None:
    run = a_run(tmp_path, "run", problems=100, solved=spread(100, 4, 371))
    (evidence,) = check(figure(), run).evidence
    assert evidence.verdict == "inconclusive"
    assert any(mentions(caveat, "100 of 500") for caveat in evidence.caveats)


def test_other_weights_can_challenge_nothing(tmp_path: Path) -> None:
    engine = {"kind": "vllm", "dtype": "auto", "args": {"quantization": "fp8"}}
    far = a_run(tmp_path / "far", "far", solved=spread(500, 4, 1200), engine=engine)
    near = a_run(tmp_path / "near", "near", solved=spread(500, 4, 1856), engine=engine)
    for run, verdict in ((far, "inconclusive"), (near, "reproduced")):
        (evidence,) = check(figure(), run).evidence
        assert evidence.verdict == verdict
        assert mentions(evidence.caveats[0], "other weights", "fp8")


def with_model(run: str, **changes: Any) -> str:
    """The same run, of a model that is described otherwise."""
    file = Path(run)
    raw = json.loads(file.read_text())
    model = raw["manifest"]["config"]["model"]
    raw["manifest"]["config"]["model"] = changes if "kind" in changes else {**model, **changes}
    file.write_text(json.dumps(raw))
    return run


@pytest.mark.parametrize("asked", [SMOLLM2, "smollm2_135m"])
def test_a_wheel_with_a_repositorys_weights_has_other_weights_however_it_is_asked_for(
    tmp_path: Path, asked: str
) -> None:
    short = {"max_new_tokens": 4096}
    run = a_run(tmp_path, model="smollm2_135m", solved=spread(500, 4, 0), protocol_changes=short)
    found = check(figure(model=None, protocol={**SAMPLED, **short}), run, model=asked)
    (evidence,) = found.evidence
    assert (found.model, evidence.verdict) == ("smollm2_135m", "inconclusive")
    assert mentions(evidence.caveats[0], "other weights", "Q4_1")
    assert any(mentions(caveat, "Q4_1") for caveat in found.caveats)
    wanted = Wanted("math500", "accuracy", "deepseek_r1", ["smollm2_135m"])
    (read,) = read_runs([run], Path("results"))
    assert mentions(str(fitting(read, wanted)), "quantised weights", "Q4_1")


def test_a_run_of_the_published_weights_has_no_other_ones(tmp_path: Path) -> None:
    run = a_run(tmp_path, model="smollm2_135m", solved=spread(500, 4, 0))
    with_model(run, kind="hub", name="SmolLM2-135M-Instruct", hub_id=SMOLLM2, revision="main")
    (evidence,) = check(figure(model=SMOLLM2), run).evidence
    assert evidence.verdict == "challenged"
    assert not any("other weights" in caveat for caveat in evidence.caveats)


@pytest.mark.parametrize(
    ("model", "changes", "facts"),
    [
        ("smollm2_135m", {"member_sha256": "0" * 64}, ("only named smollm2_135m",)),
        ("r1_distill_qwen_7b", {"hub_id": "org/name"}, ("only named", DISTILL)),
        ("r1_distill_qwen_7b", {"revision": "0" * 40}, ("other revision", "000000000000")),
    ],
)
def test_a_name_alone_makes_no_model(
    tmp_path: Path, model: str, changes: dict[str, Any], facts: tuple[str, ...]
) -> None:
    short = {"max_new_tokens": 4096}
    run = with_model(a_run(tmp_path, model=model, protocol_changes=short), **changes)
    found = check(figure(model=model), run)
    assert found.verdict == "untested"
    assert mentions(found.evidence[0].text, *facts)


@pytest.mark.parametrize(
    ("args", "facts"),
    [
        ({"hf_overrides": {"num_experts": 4}}, ("hf_overrides",)),
        ({"kv_cache_dtype": "fp8"}, ("quantised cache", "fp8")),
    ],
)
def test_another_computation_is_not_judged(
    tmp_path: Path, args: dict[str, Any], facts: tuple[str, ...]
) -> None:
    run = a_run(tmp_path, engine={"kind": "vllm", "dtype": "auto", "args": args})
    found = check(figure(), run)
    assert found.verdict == "untested"
    assert mentions(found.evidence[0].text, *facts)


def test_settings_that_no_publication_says_are_named(tmp_path: Path) -> None:
    changes = {"min_p": 0.1, "repetition_penalty": 1.2, "chat_template_kwargs": {"thinking": True}}
    run = a_run(tmp_path, protocol_changes=changes)
    (evidence,) = check(figure(), run).evidence
    (unknown,) = [caveat for caveat in evidence.caveats if caveat.startswith("not known")]
    for name in (*changes, "force_think"):
        assert f"{name} (here " in unknown


def test_a_value_whose_unit_is_unsure_is_not_challenged(tmp_path: Path) -> None:
    run = a_run(tmp_path, solved=spread(500, 4, 20))
    sure = check(figure(value=0.7, percent=70.0), run)
    unsure = check(figure(value=0.7, percent=70.0, is_unit_unsure=True), run)
    assert (sure.verdict, unsure.verdict) == ("challenged", "inconclusive")
    assert any(mentions(caveat, "unit of 0.7") for caveat in unsure.evidence[0].caveats)


def test_the_run_with_the_most_samples_decides(tmp_path: Path) -> None:
    few = a_run(tmp_path / "few", "few", samples=1, solved=spread(500, 1, 300))
    many = a_run(tmp_path / "many", "many", solved=spread(500, 4, 1856))
    found = check(figure(), few, many)
    assert [each.verdict for each in found.evidence] == ["challenged", "reproduced"]
    assert found.verdict == "reproduced"


def test_a_margin_of_the_users_is_used(tmp_path: Path) -> None:
    run = a_run(tmp_path, "run", solved=spread(500, 4, 1800))
    assert check(figure(), run).verdict == "inconclusive"
    wide = check(figure(), run, margin=10.0)
    assert (wide.verdict, wide.margin_points) == ("reproduced", 10.0)


# --- tables of studies --------------------------------------------------------------------------


def test_a_table_is_judged_as_claims_judges_it(tmp_path: Path) -> None:
    run = a_run(tmp_path, solved=spread(500, 4, 1856))
    runs = read_runs([run], Path("results"))
    table = read_table("deepseek_2025:distill_table")
    assert table is not None
    found = check_table(table, Asked(with_plan=False), runs)
    judged = {each.id: each for each in judge_claims(load_ledger(), runs)}
    for each in found:
        if each.margin_points is not None:
            judgement = judged[f"published/{each.figure.place}"]
            assert each.verdict == judgement.verdict
            assert judgement.decide in (None, each.command)
        else:
            assert each.evidence == ()
    assert "reproduced" in {each.verdict for each in found}
    known = found[0].known
    assert (known["temperature"], known["top_p"]) == (0.6, 0.95)
    assert "samples_per_problem" in found[0].unknown


def test_a_table_is_a_file_too(tmp_path: Path) -> None:
    file = CONF_DIR / "study" / "deepseek_2025" / "score" / "qwen2_5_instruct.yaml"
    table = read_table(str(file))
    assert table == read_table("deepseek_2025:qwen2_5_instruct")
    assert table == read_table(f"{file.parent.parent}:qwen2_5_instruct")
    assert table is not None
    lacking = [each for each in check_table(table, Asked(with_plan=False)) if each.lacks]
    assert {"MATH"} < {each.figure.dataset for each in lacking}
    assert read_table(str(tmp_path)) is None
    raw = {**yaml.safe_load(file.read_text()), "grade": "Q"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(UserError, match=r"^TARGET=.*mine\.yaml: grade: ") as error:
        read_table(str(tmp_path / "mine.yaml"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "asked",
    [{"model": DISTILL}, {"task": "math500"}, {"assumed": {"fewshot": 0}}, {"margin": 2.0}],
)
def test_what_a_table_has_of_its_own_is_not_asked_for(asked: dict[str, Any]) -> None:
    option = {"assumed": "assume"}.get(*asked, *asked)
    with pytest.raises(UserError, match=rf"^--{option} [^\n]+: [^\n]*$"):
        check_target("deepseek_2025:distill_table", Asked(with_plan=False, **asked))


def test_what_a_table_s_protocol_does_otherwise_is_named() -> None:
    found = check_target("deepseek_2025:replication_evalhub_vllm", Asked(with_plan=False))
    for each in found:
        (differs,) = [caveat for caveat in each.caveats if "other protocol" in caveat]
        assert mentions(differs, "max_new_tokens", "32768", "30720")


@pytest.mark.parametrize(
    ("key", "value"), [("protocol", "greddy"), ("task", "math5000"), ("model", "qwen")]
)
def test_a_table_that_lies_alone_is_checked_too(tmp_path: Path, key: str, value: str) -> None:
    file = CONF_DIR / "study" / "deepseek_2025" / "score" / "qwen2_5_instruct.yaml"
    raw = yaml.safe_load(file.read_text())
    place = {"protocol": raw, "task": raw["columns"][0], "model": raw["rows"][1]}[key]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    assert read_table(str(tmp_path / "mine.yaml")) is not None
    place[key] = value
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(UserError, match=r"^TARGET=[^\n]*mine\.yaml: [^\n]*$") as error:
        read_table(str(tmp_path / "mine.yaml"))
    assert mentions(str(error.value), f"{key}={value}: no such {key}")


def test_a_table_in_a_study_is_read_as_the_study_reads_it(tmp_path: Path) -> None:
    source = CONF_DIR / "study" / "deepseek_2025"
    (tmp_path / "mine" / "score").mkdir(parents=True)
    file = tmp_path / "mine" / "score" / "other.yaml"
    study = {**yaml.safe_load((source / "study.yaml").read_text()), "name": "mine"}
    (tmp_path / "mine" / "study.yaml").write_text(yaml.safe_dump(study, default_flow_style=False))
    file.write_bytes((source / "score" / "qwen2_5_instruct.yaml").read_bytes())
    with pytest.raises(ConfigError, match=r"id=qwen2_5_instruct"):
        read_table(str(file))


@pytest.mark.parametrize(
    ("target", "facts"),
    [
        ("deepseek_2025:nope", ("deepseek_2025", "nope", "distill_table")),
        ("nowhere:distill_table", ("nowhere", "STUDY:TABLE", "deepseek_2025")),
    ],
)
def test_a_table_that_is_not_there_is_one_line(target: str, facts: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"^TARGET=") as error:
        read_table(target)
    assert mentions(str(error.value), *facts)


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def card(tmp_path: Path) -> Path:
    entry = {
        "dataset": {"id": "HuggingFaceH4/MATH-500", "task_id": "default"},
        "value": 92.8,
        "notes": "0-shot, with the chat template, temperature 0.6, top_p 0.95",
    }
    (tmp_path / "card.yaml").write_text(yaml.safe_dump([entry, entry]), encoding="utf-8")
    return tmp_path / "card.yaml"


def test_the_command_prints_lines_of_100_columns(
    card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "run", "run", solved=spread(500, 4, 1856))
    arguments = ["check", str(card), "--model", DISTILL, "--no-plan", "--runs", run]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 100 for line in lines if not line.startswith("command"))
    labels = [line.split()[0] for line in lines if line[:1].strip()]
    for label in ("published", "here", "known", "command", "verdict", "run"):
        assert labels.count(label) == 2
    assert sum("reproduced" in line for line in lines if line.startswith("verdict")) == 2


def test_json_has_all_of_it(card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(tmp_path / "run", "run", solved=spread(500, 4, 1856))
    assert main(["check", str(card), "--model", DISTILL, "--json", "--no-plan", "--runs", run]) == 0
    one, _ = json.loads(capsys.readouterr().out)
    assert one["is_reproducible"] is True
    assert (one["verdict"], one["task"]) == ("reproduced", "math500")
    assert one["figure"]["percent"] == 92.8
    assert one["evidence"][0]["intervals"]
    assert one["takes"] is None


def test_the_same_from_python(card: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", solved=spread(500, 4, 1856))
    entry = {"dataset": {"id": "cais/hle", "task_id": "default"}, "value": 20.9}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump([entry]), encoding="utf-8")
    (found,) = harness.check(tmp_path / "other.yaml", [run], model=DISTILL)
    assert not found.is_reproducible
    with pytest.raises(UserError, match=r"^--assume shots=5"):
        harness.check(card, assume=["shots=5"])


def test_runs_of_the_results_folder_are_found(
    card: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Path(a_run(tmp_path / "runs" / "run", solved=spread(500, 4, 1856)))
    made.rename(made.with_name("result.json"))
    arguments = ["check", str(card), "--model", DISTILL, "--json", "--no-plan"]
    assert main([*arguments, "--results-dir", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == "reproduced"


def test_a_plan_names_what_is_unknown(card: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(card), "--model", "org/unknown-model", "--json"]) == 0
    takes = json.loads(capsys.readouterr().out)[0]["takes"]
    assert takes["expected"] is None
    assert mentions("; ".join(takes["unknown"]), "duration", "cost", "memory")


def test_a_plan_for_another_machine_has_time_and_rent(
    card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(card), "--model", DISTILL, "--json", "--plan-for", "h200"]) == 0
    takes = json.loads(capsys.readouterr().out)[0]["takes"]
    assert takes["expected"]["generation_s"] > 0
    assert takes["expected"]["usd"] > 0
    assert takes["memory_bytes"] > 15e9
    assert takes["requests"] == 500


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["nowhere"], ("TARGET=nowhere",)),
        (["CARD", "--margin", "0"], ("--margin 0",)),
        (["CARD", "--margin", "nan"], ("--margin nan",)),
        (["CARD", "--margin", "inf"], ("--margin inf",)),
        (["CARD", "--task", "gsm9k"], ("--task gsm9k",)),
        (["CARD", "--assume", "shots=1"], ("--assume shots=1",)),
        (["CARD", "--runs", "no-such-run"], ("no-such-run",)),
    ],
)
def test_a_mistake_is_one_line(
    card: Path, arguments: list[str], facts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(card) if each == "CARD" else each for each in arguments]
    assert main(["check", *given]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert mentions(shown.err, *facts)
