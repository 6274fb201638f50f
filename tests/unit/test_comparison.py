"""``harness compare`` on results that are made of a real one, through the command itself."""

import json
import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.store.result import RunResult
from tests.facts import mentions

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = json.loads(
    (REPOSITORY / "results/baselines/smollm2_135m_standard_vllm.json").read_text(encoding="utf-8")
)
LOG = Path(__file__).parent / "cases" / "samples_humaneval_2026-11-22T00-48-24.655419.jsonl"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes a result: HumanEval's 164 problems, of which the first so many are solved."""

    def make(
        name: str, solved: int | Callable[[int, int], str] = 80, samples: int = 1, **fields: object
    ) -> str:
        result = deepcopy(REAL)
        manifest = result["manifest"]
        manifest["run_id"] = name
        manifest["tasks"] = [t for t in manifest["tasks"] if t["name"] == "humaneval"]
        protocol = manifest["protocol_fields"]["humaneval"]
        manifest["protocol_fields"] = {
            "humaneval": {**protocol, "samples_per_problem": samples, **fields}
        }
        ids = sorted(o["request_id"] for o in REAL["outcomes"] if o["request_id"].startswith("h"))
        outcome = REAL["outcomes"][0]
        result["outcomes"] = [
            {
                **outcome,
                "request_id": request_id.replace("#0", f"#{sample}"),
                "status": status(solved, number, sample),
                "extracted": f"def answer_of_{name}(): ...",
                "completion_tokens": 100 + number,
            }
            for number, request_id in enumerate(ids)
            for sample in range(samples)
        ]
        file = tmp_path / f"{name}.json"
        file.write_text(RunResult.model_validate(result).model_dump_json())
        return str(file)

    return make


def status(solved: int | Callable[[int, int], str], number: int, sample: int) -> str:
    if callable(solved):
        return solved(number, sample)
    return "correct" if number < solved else "incorrect"


def compared(
    capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0
) -> dict[str, Any]:
    assert main(["compare", "--json", *arguments]) == expect
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def said(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> str:
    """What a person reads, its columns joined by single spaces."""
    assert main(["compare", *arguments]) == expect
    printed = capsys.readouterr()
    return " ".join((printed.out or printed.err).split())


# --- scores -----------------------------------------------------------------------------------


def test_a_run_against_itself_is_called_that_and_differs_by_nothing(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("one")
    found = compared(capsys, file, file)["candidates"][0]
    assert found["is_same_run"]
    assert found["subject_differences"] == []
    assert found["tasks"][0]["difference_new_problems"]["value"] == 0
    assert found["tasks"][0]["discordant"] == []
    assert compared(capsys, file, file)["comparisons"] == 0


def test_a_run_against_itself_counts_for_nothing_and_a_candidate_counts_once(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base, other = write("base", 100), write("other", 94)
    alone = compared(capsys, base, other, expect=5)
    found = compared(capsys, base, base, other, expect=5)
    assert found["comparisons"] == alone["comparisons"] == 1
    assert found["candidates"][1] == alone["candidates"][0]
    assert main(["compare", base, other, other]) == 2
    assert "other: " in capsys.readouterr().err


def test_a_run_that_was_graded_again_is_not_the_same_run(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = Path(write("one", 90))
    before = first.rename(first.with_name("before.json"))
    found = compared(capsys, str(before), write("one", 80), expect=5)
    assert not found["candidates"][0]["is_same_run"]


def test_a_clear_loss_is_a_regression_and_a_gain_is_none(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = write("good", 100), write("bad", 80)
    found = compared(capsys, good, bad, expect=5)
    task = found["candidates"][0]["tasks"][0]
    assert found["exit_status"] == 5
    assert task["is_regression"]
    assert task["difference_new_problems"]["value"] == pytest.approx(-20 / 164)
    assert task["test"]["p"] == pytest.approx(2 * 0.5**20)
    assert task["test"]["p_worse"] == pytest.approx(0.5**20)
    assert compared(capsys, bad, good)["exit_status"] == 0


def test_a_margin_forgives_a_loss_that_is_not_surely_larger(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = write("good", 100), write("bad", 88)  # 7.3 points
    assert compared(capsys, good, bad, "--margin", "0", expect=5)
    assert compared(capsys, good, bad, "--margin", "6")["exit_status"] == 0
    text = said(capsys, good, bad, expect=5)
    assert mentions(text, "exit status 5", "0 points")


def test_holm_counts_every_comparison_that_was_made(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = write("base", 100)
    others = [write(f"other{n}", 95) for n in range(3)]  # each p_worse = 1 / 32
    assert compared(capsys, base, others[0], expect=5)["comparisons"] == 1
    found = compared(capsys, base, *others)
    assert found["comparisons"] == 3
    assert found["candidates"][0]["tasks"][0]["test"]["p_worse_holm"] == pytest.approx(3 / 32)
    assert found["exit_status"] == 0


def test_errors_are_in_no_denominator_and_are_shown(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(number: int, _: int) -> str:
        return "scorer_error" if number < 4 else "correct"

    base, other = write("base", 164), write("other", broken)
    task = compared(capsys, base, other)["candidates"][0]["tasks"][0]
    assert (task["problems"], task["left_out"], task["candidate_errors"]) == (160, 4, 4)
    assert task["candidate_score"]["value"] == 1
    assert task["difference_new_problems"]["value"] == 0
    text = said(capsys, base, other)
    assert mentions(text, "160; 4", "0", "baseline", "4", "candidate")


def test_discordant_problems_come_with_both_answers(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base, other = write("base", 12), write("other", 0)
    task = compared(capsys, base, other, expect=5)["candidates"][0]["tasks"][0]
    assert len(task["discordant"]) == 12
    first = task["discordant"][0]
    assert first["problem_id"] == "humaneval/HumanEval/0"
    assert first["baseline_answers"] == [
        {"status": "correct", "answer": "def answer_of_base(): ...", "samples": 1}
    ]
    assert first["candidate_answers"][0]["status"] == "incorrect"
    text = said(capsys, base, other, expect=5)
    assert "humaneval/HumanEval/0 def answer_of_base(): ... def answer_of_other(): ..." in text
    assert mentions(text, "…", "2", "--json")


def test_several_samples_give_the_error_of_these_problems_too(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(number: int, sample: int) -> str:
        return "correct" if (number + sample) % 4 else "incorrect"

    base, other = write("base", noisy, 4), write("other", noisy, 4)
    task = compared(capsys, base, other)["candidates"][0]["tasks"][0]
    fixed, new = task["difference_fixed_benchmark"], task["difference_new_problems"]
    assert fixed["low"] < 0 < fixed["high"]
    assert new["low"] < 0 < new["high"]
    assert task["test"]["method"].startswith("sign-flip permutation")
    single = write("single")
    task = compared(capsys, single, write("again"))["candidates"][0]["tasks"][0]
    assert task["difference_fixed_benchmark"]["low"] is None


def test_equivalence_is_shown_or_not(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    same, near, far = write("same", 100), write("near", 100), write("far", 96)
    assert mentions(said(capsys, same, near, "--equivalence", "3"), "3 points", "equivalent")
    task = compared(capsys, same, far, "--equivalence", "3")["candidates"][0]["tasks"][0]
    assert task["equivalence"]["new_problems"] is False
    assert task["equivalence"]["fixed_benchmark"] is None


def test_neither_order_nor_names_of_problems_and_samples_change_a_number(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(number: int, sample: int) -> str:
        return "correct" if (7 * number + 3 * sample) % 5 else "incorrect"

    files = [write("base", 90, 3), write("other", noisy, 3)]
    before = compared(capsys, *files)
    swap = {"0": "2", "1": "0", "2": "1"}
    for file in files:
        result = json.loads(Path(file).read_text())
        for outcome in result["outcomes"]:
            problem, _, sample = outcome["request_id"].rpartition("#")
            renamed = problem.replace("HumanEval/", "HumanEval/z")
            outcome["request_id"] = f"{renamed}#{swap[sample]}"
        result["outcomes"].reverse()
        Path(file).write_text(json.dumps(result))
    after = compared(capsys, *files)
    for found in (before, after):
        found["candidates"][0]["tasks"][0]["discordant"].sort(
            key=lambda each: each.pop("problem_id").replace("/z", "/")
        )
    assert before == after


# --- other figures ----------------------------------------------------------------------------


def test_tokens_time_and_cost_are_set_side_by_side(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(capsys, write("base", 82), write("other", 164))["candidates"][0]
    figures = {f["metric"]: f for f in found["tasks"][0]["figures"]}
    tokens = figures["completion_tokens.mean"]
    assert tokens["baseline"] == tokens["candidate"] == pytest.approx(100 + 163 / 2)
    # Every problem has the same ratio: no interval, rather than one without a width.
    assert tokens["ratio"]["value"] == pytest.approx(1)
    assert (tokens["ratio"]["low"], tokens["ratio"]["high"]) == (None, None)
    cost = figures["cost_per_solved.rented"]
    assert cost["ratio"]["value"] == pytest.approx(0.5)
    assert cost["ratio"]["low"] < 0.5 < cost["ratio"]["high"]
    for name in ("queue_wait_s", "time_to_first_token_s", "request_latency_s"):
        assert figures[f"{name}.mean"]["n"] == 164
    rates = {each["metric"]: each for each in found["figures"]}
    assert "mean_concurrency" in rates
    speed = rates["output_tokens_per_s"]
    assert (speed["metric"], speed["paired"], speed["ratio"]["low"]) == (
        "output_tokens_per_s",
        False,
        None,
    )


def test_a_cost_that_leaves_out_killed_sessions_is_marked(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An older result has no machine time; the other one's sessions all ended in order."""
    older, whole = Path(write("older", 82)), Path(write("whole", 82))
    for file, change in ((older, None), (whole, {"bound": None})):
        result = json.loads(file.read_text())
        result["estimates"] = [
            each if change is None else {**each, **change}
            for each in result["estimates"]
            if change is not None or each["metric"] != "machine_s"
        ]
        file.write_text(json.dumps(result))
    (task,) = compared(capsys, str(older), str(whole))["candidates"][0]["tasks"]
    (cost,) = [each for each in task["figures"] if each["metric"] == "cost_per_solved.rented"]
    assert cost["bounds"] == ["lower", None]
    assert "at least" in said(capsys, str(older), str(whole))


def test_a_rate_that_leaves_out_answers_that_were_lost_is_marked(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    cut, whole = Path(write("cut", 82)), Path(write("whole", 82))
    result = json.loads(cut.read_text())
    for each in result["estimates"]:
        if each["metric"] == "output_tokens_per_s":
            each["bound"] = "lower"
    cut.write_text(json.dumps(result))
    rates = compared(capsys, str(cut), str(whole))["candidates"][0]["figures"]
    (speed,) = [each for each in rates if each["metric"] == "output_tokens_per_s"]
    assert speed["bounds"] == ["lower", None]


def test_costs_at_different_prices_are_marked(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base, other = write("base"), Path(write("other"))
    assert "usd_per_hour" not in said(capsys, base, str(other))
    result = json.loads(other.read_text())
    result["pricing"]["rented"]["usd_per_hour"] *= 2
    other.write_text(json.dumps(result))
    assert "usd_per_hour 0.044625, unit vcpu" in said(capsys, base, str(other))


def test_tokens_a_second_of_runs_with_other_tasks_have_no_ratio(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    both = str(REPOSITORY / "results/baselines/smollm2_135m_standard_vllm.json")
    speed, *_ = compared(capsys, both, write("one"))["candidates"][0]["figures"]
    assert speed["ratio"]["value"] is None
    assert speed["ratio"]["undefined"]


def test_cost_per_solved_of_a_run_that_solved_nothing_is_unknown(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    figures = compared(capsys, write("base", 0), write("other", 2))["candidates"][0]["tasks"][0]
    cost = next(f for f in figures["figures"] if f["metric"].startswith("cost"))
    assert cost["baseline"] is None
    assert cost["ratio"]["value"] is None


def test_every_difference_of_the_subject_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    folder = REPOSITORY / "results/baselines"
    files = [
        str(folder / f"smollm2_135m_standard_{name}.json") for name in ("transformers", "vllm")
    ]
    found = compared(capsys, *files)["candidates"][0]
    fields = {
        each["field"]: (each["baseline"], each["candidate"])
        for each in found["subject_differences"]
    }
    assert fields["engine.name"] == ("transformers", "vllm")
    assert "model" not in fields
    assert [task["task"] for task in found["tasks"]] == ["humaneval", "math500"]


def test_an_adapter_is_a_difference_of_the_subject_and_not_of_the_protocol(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    plain, adapted = write("plain"), write("adapted")
    result = json.loads(Path(adapted).read_text())
    result["manifest"]["model"] |= {
        "name": "base+lora",
        "adapter": {"path": "/out/lora", "sha256": "b" * 64, "rank": 4, "base": None},
    }
    Path(adapted).write_text(json.dumps(result))
    (found,) = compared(capsys, plain, adapted)["candidates"]
    fields = {each["field"]: each["candidate"] for each in found["subject_differences"]}
    assert fields["model"] == "base+lora"
    assert fields["model.adapter_sha256"] == "b" * 64


# --- protocol ---------------------------------------------------------------------------------


def test_another_protocol_is_refused_by_field_and_both_values(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base, other = write("base"), write("other", temperature=0.6, max_new_tokens=512)
    assert main(["compare", base, other]) == 6
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert mentions(
        printed.err,
        *("base", "other", "humaneval", "max_new_tokens 400", "512", "temperature 0.0", "0.6"),
        "--allow-protocol-mismatch max_new_tokens --allow-protocol-mismatch temperature\n",
    )
    allow = ["--allow-protocol-mismatch", "temperature"]
    assert main(["compare", base, other, *allow]) == 6
    assert "temperature" not in capsys.readouterr().err


def test_what_is_let_through_is_marked(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    files = write("base"), write("other", temperature=0.6)
    allow = ["--allow-protocol-mismatch", "temperature"]
    (mark,) = compared(capsys, *files, *allow)["candidates"][0]["protocol_mismatch"]
    assert mark == {"task": "humaneval", "field": "temperature", "baseline": 0.0, "candidate": 0.6}
    assert mentions(
        said(capsys, *files, *allow), "PROTOCOL MISMATCH", "humaneval", "temperature", "0.0", "0.6"
    )


def test_a_field_stands_for_what_lies_below_it(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    files = write("base"), write("other", **{"scorer.sandbox.level": "landlock"})
    assert main(["compare", *files]) == 6
    assert compared(capsys, *files, "--allow-protocol-mismatch", "scorer.sandbox")


def test_an_unknown_field_is_named_with_the_nearest(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("base")
    assert main(["compare", file, file, "--allow-protocol-mismatch", "temprature"]) == 2
    assert mentions(capsys.readouterr().err, "temprature: ", "temperature?")


def test_samples_and_subset_let_through_pair_what_is_in_common(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    base, other = (
        write("base", 80, 2),
        write("other", 80, 1, subset="humaneval:20", subset_sha256="x"),
    )
    fewer = json.loads(Path(other).read_text())
    fewer["outcomes"] = fewer["outcomes"][:20]
    Path(other).write_text(json.dumps(fewer))
    assert main(["compare", base, other]) == 6
    capsys.readouterr()
    allow = [f"--allow-protocol-mismatch={name}" for name in ("samples_per_problem", "subset")]
    task = compared(capsys, base, other, *allow)["candidates"][0]["tasks"][0]
    assert (task["problems"], task["only_in_baseline"], task["only_in_candidate"]) == (20, 144, 0)


def test_tasks_of_one_side_are_named_and_no_common_task_is_refused(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    both = str(REPOSITORY / "results/baselines/smollm2_135m_standard_vllm.json")
    file = write("one")
    found = compared(capsys, both, file, expect=0)["candidates"][0]
    assert found["tasks_only_in_baseline"] == ["math500"]
    assert mentions(said(capsys, both, file), "baseline", "math500")
    text = Path(file).read_text().replace('"humaneval', '"gsm8k')
    other = tmp_path / "gsm8k.json"
    other.write_text(text)
    assert main(["compare", file, str(other)]) == 6
    assert mentions(capsys.readouterr().err, "humaneval", "gsm8k")


# --- other harnesses --------------------------------------------------------------------------

FOREIGN = [
    f"--allow-protocol-mismatch={name}"
    for name in ("subset", "max_new_tokens", "samples_per_problem", "stop")
]


def test_a_foreign_log_is_compared_and_marked_as_not_shown_to_be_the_same_protocol(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base = write("base", 164)
    assert main(["compare", base, str(LOG)]) == 6
    assert "max_new_tokens 400 against 1024" in capsys.readouterr().err
    found = compared(capsys, base, str(LOG), *FOREIGN)["candidates"][0]
    assert found["candidate"]["source"] == "lm-evaluation-harness"
    assert found["candidate"]["subject"] == {}
    assert "template_sha256" in found["protocol_unknown"]["humaneval"]
    assert "scorer" in {each["field"] for each in found["protocol_mismatch"]}
    task = found["tasks"][0]
    assert (task["problems"], task["candidate_score"]["value"]) == (3, 0.5)
    figures = {f["metric"]: f["candidate"] for f in task["figures"]}
    assert set(figures.values()) == {None}
    text = said(capsys, base, str(LOG), *FOREIGN)
    assert mentions(text, "humaneval: ", "force_think")
    assert mentions(text, "model", "engine.name", "engine.device_name")


# --- arguments and files ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--margin", "-1"], "--margin -1: "),
        (["--margin", "nan"], "--margin nan: "),
        (["--equivalence", "0"], "--equivalence 0: "),
        (["--equivalence", "inf"], "--equivalence inf: "),
        (["--margin", "much"], "invalid float value: 'much'"),
    ],
)
def test_bad_numbers_are_refused(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    file = write("base")
    assert main(["compare", file, file, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_run_without_a_result_says_what_makes_one(capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(REPOSITORY / "tests/golden/runs/smollm2_demo")
    assert main(["compare", folder, folder]) == 2
    assert mentions(capsys.readouterr().err, "result.json", f"harness score {folder}")


def test_what_is_no_result_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["compare", "no-such-run", "other", "--results-dir", str(tmp_path)]) == 2
    assert "harness: no-such-run: " in capsys.readouterr().err
    stray = tmp_path / "stray.jsonl"
    stray.write_text("{}\n")
    assert main(["compare", str(stray), str(stray)]) == 2
    assert "stray.jsonl: " in capsys.readouterr().err


def test_runs_are_found_by_id_and_by_folder(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    Path(write("mine")).rename(folder / "result.json")
    for name in ("mine", str(folder)):
        found = compared(capsys, name, str(folder / "result.json"), "--results-dir", str(tmp_path))
        assert found["baseline"]["label"] == "mine"


def test_a_candidate_of_nothing_but_errors_has_no_numbers_and_is_not_called_as_good(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    files = write("base"), write("broken", lambda *_: "generation_error")
    found = compared(capsys, *files, "--equivalence", "3", expect=6)
    assert found["exit_status"] == 6
    task = found["candidates"][0]["tasks"][0]
    assert (task["problems"], task["left_out"], task["candidate_errors"]) == (0, 164, 164)
    assert task["difference_new_problems"]["value"] is None
    assert task["test"]["p_holm"] is None
    text = said(capsys, *files, expect=6)
    assert "difference unknown" in text
    assert "exit status 6: " in text
    worse = write("worse", 20)
    assert compared(capsys, files[0], files[1], worse, expect=5)["exit_status"] == 5


@pytest.mark.parametrize(
    ("request_id", "facts"),
    [
        ("humaneval/HumanEval/0", ("outcomes.0.request_id", "TASK/PROBLEM#SAMPLE")),
        ("#0", ("outcomes.0.request_id", "TASK/PROBLEM#SAMPLE")),
        ("gsm8k/1#0", ("gsm8k/1#0", "humaneval")),
        ("humaneval/HumanEval/1#0", ("humaneval/HumanEval/1#0",)),
    ],
)
def test_outcomes_that_would_count_wrongly_are_refused(
    write: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    request_id: str,
    facts: tuple[str, ...],
) -> None:
    base, odd = write("base"), Path(write("odd"))
    result = json.loads(odd.read_text())
    result["outcomes"][0]["request_id"] = request_id
    odd.write_text(json.dumps(result))
    assert main(["compare", base, str(odd)]) == 2
    assert mentions(capsys.readouterr().err, *facts)


def test_what_a_file_says_is_no_order_to_the_terminal(
    write: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    base, odd = write("base"), Path(write("odd", 0))
    hostile = "\x1b[2J\x9b31m\u202e[red]x[/nope]"
    result = json.loads(odd.read_text())
    result["manifest"]["run_id"] = result["manifest"]["model"]["name"] = hostile
    for outcome in result["outcomes"]:
        outcome["extracted"] = hostile
    odd.write_text(json.dumps(result))
    for arguments in ([], ["--json"]):
        assert main(["compare", base, str(odd), *arguments]) == 5
        printed = capsys.readouterr().out
        assert not set("\x1b\x9b\u202e") & set(printed)
        assert "x1b[2J" in printed or "u001b[2J" in printed
        assert "[red]x[/nope]" in printed
    result["manifest"]["protocol_fields"]["humaneval"][hostile] = 1
    odd.write_text(json.dumps(result))
    assert main(["compare", base, str(odd)]) == 6
    assert "\x1b" not in capsys.readouterr().err


def test_json_holds_no_nan(write: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(name: str) -> float:
        raise AssertionError(name)

    assert main(["compare", "--json", write("a", 0), write("b", 0)]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert math.isfinite(found["candidates"][0]["tasks"][0]["test"]["p"])
