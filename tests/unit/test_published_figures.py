"""Published figures as files give them: three formats, and one line for what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.claims.check.resolve import not_accuracy
from harness.errors import UserError
from harness.interop.export import Benchmark, Evaluator, to_eval_results, to_model_index, write_eee
from harness.interop.published_figures import protocol_in_words, read_figures
from harness.store.result import RunResult
from tests.facts import mentions
from tests.unit.export_runs import finished

ENTRY = {
    "dataset": {"id": "openai/gsm8k", "task_id": "gsm8k"},
    "value": 1.4,
    "verifyToken": "abc",
    "date": "2025-01-15",
    "source": {"url": "https://example.org/card", "name": "Card"},
    "evaluation_framework": "lighteval",
    "notes": "5-shot, greedy",
}
INDEX = {
    "model-index": [
        {
            "name": "org/model",
            "results": [
                {
                    "task": {"type": "text-generation"},
                    "dataset": {
                        "name": "GSM8k (5-shot)",
                        "type": "gsm8k",
                        "config": "main",
                        "split": "test",
                        "args": {"num_few_shot": 5},
                    },
                    "metrics": [
                        {"type": "acc", "value": "48.75 ± 1.2", "name": "accuracy"},
                        {"type": "acc", "value": 0.5},
                    ],
                    "source": {"url": "https://example.org/board", "name": "Board"},
                }
            ],
        }
    ]
}


def eee(**changes: object) -> dict[str, Any]:
    return {
        "schema_version": "0.3.0",
        "evaluation_id": "gsm8k/org_model/1",
        "retrieved_timestamp": "1764500000",
        "source_metadata": {
            "source_type": "evaluation_run",
            "source_organization_name": "Somebody",
            "evaluator_relationship": "third_party",
        },
        "eval_library": {"name": "lm_eval", "version": "0.4.9"},
        "model_info": {
            "name": "model",
            "id": "org/model",
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "open_weights",
            },
        },
        "evaluation_results": [
            {
                "evaluation_name": "gsm8k",
                "source_data": {
                    "dataset_name": "gsm8k",
                    "source_type": "hf_dataset",
                    "hf_repo": "openai/gsm8k",
                    "hf_split": "test",
                    "samples_number": 1319,
                },
                "metric_config": {
                    "metric_id": "exact_match",
                    "lower_is_better": False,
                    "score_type": "continuous",
                    "min_score": 0,
                    "max_score": 1,
                },
                "score_details": {
                    "score": 0.014,
                    "uncertainty": {"standard_error": {"value": 0.0032}, "num_samples": 1319},
                },
                "generation_config": {
                    "generation_args": {"temperature": 0.0, "max_tokens": 256, "top_p": None},
                    "additional_details": {"num_fewshot": "5"},
                },
            }
        ],
        **changes,
    }


def with_score(score: float) -> dict[str, Any]:
    raw = eee()
    raw["evaluation_results"][0]["score_details"]["score"] = score
    return raw


def with_samples(number: int) -> dict[str, Any]:
    raw = eee()
    raw["evaluation_results"][0]["source_data"]["samples_number"] = number
    return raw


def with_args(args: object) -> dict[str, Any]:
    raw = eee()
    raw["evaluation_results"][0]["generation_config"]["generation_args"] = args
    return raw


def write(folder: Path, name: str, content: object) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content) if name.endswith(".json") else yaml.safe_dump(content)
    file.write_text(text, encoding="utf-8")
    return file


def test_an_entry_of_eval_results(tmp_path: Path) -> None:
    (figure,) = read_figures(write(tmp_path, "gsm8k.yaml", [ENTRY]))
    assert (figure.dataset, figure.part, figure.percent) == ("openai/gsm8k", "gsm8k", 1.4)
    assert figure.protocol == {"fewshot": 5, "temperature": 0.0}
    assert (figure.made_with, figure.date) == ("lighteval", "2025-01-15")
    assert figure.is_signed
    assert mentions(str(figure.source), "Card", "https://example.org/card")
    assert (figure.model, figure.metric, figure.problems) == (None, None, None)


def test_what_an_entry_must_have_is_enough(tmp_path: Path) -> None:
    bare = {"dataset": {"id": "openai/gsm8k", "task_id": "gsm8k"}, "value": 0.412}
    (figure,) = read_figures(write(tmp_path, "gsm8k.yaml", [bare]))
    assert figure.percent == pytest.approx(41.2)
    assert mentions(str(figure.reading), "0.412", "41.2 %")
    assert figure.protocol == {}
    assert not figure.is_signed


@pytest.mark.parametrize(
    ("value", "percent", "is_unsure"),
    [
        ("0.8 %", 0.8, False),
        ("0.8%", 0.8, False),
        ("0.8 % ± 0.1", 0.8, False),
        ("150 %", None, False),
        (0.8, 80, True),
        (1, 100, True),
        (0, 0, False),
        (1.4, 1.4, False),
    ],
)
def test_a_sign_of_per_cent_gives_the_unit(
    tmp_path: Path, value: object, percent: float | None, is_unsure: bool
) -> None:
    index = {
        "model-index": [
            {"results": [{"dataset": {"type": "x"}, "metrics": [{"type": "acc", "value": value}]}]}
        ]
    }
    entries = write(tmp_path, "entries.yaml", [{**ENTRY, "value": value}])
    for file in (entries, write(tmp_path, "index.yaml", index)):
        (found,) = read_figures(file)
        assert found.percent == (None if percent is None else pytest.approx(percent))
        assert found.is_unit_unsure == is_unsure
        assert (found.reading is None) == isinstance(value, str)


@pytest.mark.parametrize(
    ("words", "metric"),
    [
        ("maj@8", "maj@8"),
        ("5-shot, Majority vote of 8", "Majority vote"),
        ("pass@8", "pass@8"),
        ("best-of-16", "best-of-16"),
        ("self-consistency over 40", "self-consistency"),
        ("pass@1", None),
        ("avg@64", None),
        ("without majority voting", None),
    ],
)
def test_a_metric_may_stand_in_the_words(tmp_path: Path, words: str, metric: str | None) -> None:
    (entry,) = read_figures(write(tmp_path, "x.yaml", [{**ENTRY, "notes": words}]))
    assert entry.metric == metric
    metrics = [{"type": "accuracy", "value": 40, "name": words}]
    results = [{"dataset": {"type": "gsm8k"}, "metrics": metrics}]
    index = write(tmp_path, "y.yaml", {"model-index": [{"results": results}]})
    assert read_figures(index)[0].metric == (metric or "accuracy")


def with_details(**details: str) -> dict[str, Any]:
    raw = eee()
    raw["evaluation_results"][0]["generation_config"]["additional_details"] = details
    return raw


@pytest.mark.parametrize("key", ["num_fewshot", "fewshot"])
def test_an_aggregate_has_its_examples_under_either_key(tmp_path: Path, key: str) -> None:
    raw = with_details(**{key: "3"}, system_prompt="A 5-shot greedy chat template")
    (figure,) = read_figures(write(tmp_path, "x.json", raw))
    assert figure.protocol == {"fewshot": 3, "temperature": 0.0, "max_new_tokens": 256}


def test_no_problems_are_an_unknown_number_of_them(tmp_path: Path) -> None:
    raw = eee()
    (result,) = raw["evaluation_results"]
    result["source_data"]["samples_number"] = 0
    del result["score_details"]["uncertainty"]
    assert read_figures(write(tmp_path, "x.json", raw))[0].problems is None


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return finished(tmp_path_factory.mktemp("runs") / "r1_style")


@pytest.mark.parametrize("form", ["eval-results", "model-index", "eee"])
def test_what_this_harness_exports_is_read_back(
    exported: RunResult, tmp_path: Path, form: str
) -> None:
    match form:
        case "eval-results":
            named = {"aime24": Benchmark("HuggingFaceH4/aime_2024", "a")}
            (tmp_path / "x.yaml").write_text(to_eval_results([exported], named))
            found = read_figures(tmp_path / "x.yaml")
        case "model-index":
            (tmp_path / "x.md").write_text(to_model_index([exported]))
            found = read_figures(tmp_path / "x.md")
        case _:
            files = write_eee(exported, tmp_path, Evaluator("Me", "other"), "org/name")
            found = [
                each for file in files if file.suffix == ".json" for each in read_figures(file)
            ]
    checked = [each for each in found if not_accuracy(each) is None]
    (figure,) = [each for each in checked if "aime" in each.dataset.lower()]
    assert len(checked) == (1 if form == "eval-results" else 2), "and that of HumanEval"
    accuracy = exported.estimate("accuracy", "aime24").value
    assert accuracy is not None
    assert figure.percent == pytest.approx(100 * accuracy, abs=1e-3)
    assert not figure.is_unit_unsure
    protocol = exported.manifest.config.protocol
    said = ("fewshot", "temperature", "samples_per_problem", "max_new_tokens")
    for name in said if form == "model-index" else (*said, "top_p"):
        assert figure.protocol[name] == getattr(protocol, name), name


@pytest.mark.parametrize("percent", [0.0, 0.7, 1.0, 55.0])
def test_a_low_score_that_this_harness_exports_keeps_its_unit(
    exported: RunResult, tmp_path: Path, percent: float
) -> None:
    estimates = tuple(
        each.model_copy(update={"value": percent / 100}) if each.metric == "accuracy" else each
        for each in exported.estimates
    )
    low = exported.model_copy(update={"estimates": estimates})
    text = to_eval_results([low], {"aime24": Benchmark("HuggingFaceH4/aime_2024", "a")})
    (tmp_path / "x.yaml").write_text(text)
    (tmp_path / "x.md").write_text(to_model_index([low]))
    for name in ("x.yaml", "x.md"):
        figure = read_figures(tmp_path / name)[0]
        assert figure.percent == pytest.approx(percent)
        assert not figure.is_unit_unsure


def test_a_model_repository_has_both_kinds(tmp_path: Path) -> None:
    repository = tmp_path / "models--org--name" / "snapshots" / "abc"
    write(repository, ".eval_results/gsm8k.yaml", [ENTRY])
    (repository / "README.md").write_text(f"---\n{yaml.safe_dump(INDEX)}---\n# Card\n")
    one, two, three = read_figures(repository)
    assert one.model == "org/name", "the hub's cache names its repositories"
    assert (two.model, two.dataset, two.percent) == ("org/model", "gsm8k", 48.75)
    assert two.protocol == {"fewshot": 5}
    assert (two.split, two.metric, three.percent) == ("test", "acc", 50.0)
    assert read_figures(repository / ".eval_results")[0] == one
    assert read_figures(repository / "README.md") == [two, three]


def test_a_model_index_in_a_file_of_its_own(tmp_path: Path) -> None:
    assert [each.percent for each in read_figures(write(tmp_path, "x.yml", INDEX))] == [48.75, 50]


def test_an_aggregate_of_every_eval_ever(tmp_path: Path) -> None:
    (figure,) = read_figures(write(tmp_path, "x.json", eee()))
    assert (figure.model, figure.dataset, figure.split) == ("org/model", "openai/gsm8k", "test")
    assert figure.percent == pytest.approx(1.4)
    assert figure.reading is None, "the file gives the unit"
    assert figure.problems == 1319
    assert figure.standard_error_percent == pytest.approx(0.32)
    assert figure.protocol == {"fewshot": 5, "temperature": 0.0, "max_new_tokens": 256}
    assert mentions(str(figure.made_with), "lm_eval", "0.4.9")
    assert mentions(str(figure.source), "third_party")


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("5-shot", {"fewshot": 5}),
        ("zero-shot", {"fewshot": 0}),
        ("five examples before the question", {"fewshot": 5}),
        ("8 solved examples in the prompt", {"fewshot": 8}),
        ("without examples", {"fewshot": 0}),
        ("1,319 examples", {}),
        ("five shots and then 3-shot", {}),
        ("temperature 0.6, top_p 0.95", {"temperature": 0.6, "top_p": 0.95}),
        ("greedy, temperature=0", {"temperature": 0.0}),
        ("greedy, temperature 0.6", {}),
        ("non-greedy", {}),
        ("not greedy decoding", {}),
        ("non greedy, temperature 0.6", {"temperature": 0.6}),
        (
            '{"temperature": 0.6, "top_p": 0.95, "top_k": 20}',
            {"temperature": 0.6, "top_p": 0.95, "top_k": 20},
        ),
        ("max 4096 tokens; mean of 4 samples", {"max_new_tokens": 4096, "samples_per_problem": 4}),
        ('{"samples_per_problem": 4}', {"samples_per_problem": 4}),
        ("chat template not used", {"chat": False}),
        ("chat template was not applied", {"chat": False}),
        ('{"chat_template": null}', {"chat": False}),
        ("max_tokens: , and , new tokens", {}),
        ("32,768 new tokens", {"max_new_tokens": 32768}),
        ("max_gen_toks=1024", {"max_new_tokens": 1024}),
        ("avg@64", {"samples_per_problem": 64}),
        ("4 to 64 samples per problem", {}),
        ("8 samples per question", {"samples_per_problem": 8}),
        ("chat template", {"chat": True}),
        ("without chat template", {"chat": False}),
        ('stop sequence "Question:"', {"stop": ("Question:",)}),
        ("num_fewshot: 10", {"fewshot": 10}),
        ("tools", {}),
    ],
)
def test_what_words_say_of_a_protocol(text: str, known: dict[str, Any]) -> None:
    assert protocol_in_words(text) == known


@pytest.mark.parametrize(
    ("name", "content", "facts"),
    [
        ("x.yaml", [{**ENTRY, "value": "high"}], ("entry 0", "value", "number")),
        ("x.yaml", [{**ENTRY, "value": float("nan")}], ("entry 0", "value", "number")),
        ("x.yaml", [{**ENTRY, "value": "inf"}], ("entry 0", "value", "number")),
        ("x.json", with_score(float("nan")), ("score_details.score",)),
        ("x.json", with_samples(-1), ("samples_number",)),
        ("x.json", with_args("greedy"), ("generation_args",)),
        ("x.yaml", [{"value": 1}], ("entry 0", "dataset")),
        ("x.yaml", [{**ENTRY, "dataset": {"task_id": "t"}}], ("dataset.id",)),
        ("x.yaml", {"value": 1}, ("dataset", "model-index")),
        ("x.yaml", [], ("no figures",)),
        ("x.yaml", {"model-index": 3}, ("model-index",)),
        ("x.yaml", {"model-index": []}, ("no figures",)),
        ("x.json", {"value": 1}, ("schema_version",)),
        ("x.json", eee(schema_version="0.2.1"), ("0.2.1", "0.3")),
        ("x.json", eee(evaluation_results=[{}]), ("evaluation_results.0",)),
        ("x.json", eee(evaluation_results=[]), ("no figures",)),
        ("x.md", "# A card without figures", ("front matter", ".eval_results")),
        ("x.txt", "1.4", (".txt", ".md")),
    ],
)
def test_a_wrong_file_is_one_line(
    tmp_path: Path, name: str, content: object, facts: tuple[str, ...]
) -> None:
    file = write(tmp_path, name, content)
    with pytest.raises(UserError, match=r"^TARGET=.*x\.") as error:
        read_figures(file)
    assert "\n" not in str(error.value)
    assert mentions(str(error.value), *facts)


@pytest.mark.parametrize("text", ["{", "a: [", "\x00"])
@pytest.mark.parametrize("name", ["x.json", "x.yaml"])
def test_what_is_no_json_or_yaml_is_one_line(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"^TARGET=.*x\.") as error:
        read_figures(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_folder_without_figures_says_where_it_looked(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A card\n", encoding="utf-8")
    with pytest.raises(UserError, match="no figures") as error:
        read_figures(tmp_path)
    assert mentions(str(error.value), ".eval_results", "README.md")
