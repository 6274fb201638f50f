"""What people read of a plan and of a run: the words and figures of the tables."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from harness.config.settings import ProtocolConfig, PurposeConfig
from harness.machine.energy import Energy
from harness.metrics.cost import cost_per_solved
from harness.metrics.figures import from_interval
from harness.records import Estimate
from harness.runner.answer import print_answer
from harness.runner.forecast import PlannedTask, forecast_notes, forecast_table
from harness.runner.summary import budget_table, missing_end, print_summary
from harness.store.manifest import BudgetCost, BudgetPoint, ExpectedTime
from harness.store.result import RunResult
from tests.facts import known, mentions

BASELINES = Path(__file__).resolve().parents[2] / "results" / "baselines"
SAMPLED = ProtocolConfig(
    name="test",
    temperature=0.6,
    top_p=0.95,
    top_k=None,
    max_new_tokens=1024,
    max_prompt_tokens=100,
    samples_per_problem=4,
    chat=True,
    force_think=False,
)
SINGLE = SAMPLED.model_copy(update={"samples_per_problem": 1})
GREEDY = SINGLE.model_copy(update={"temperature": 0.0})
PURPOSE = PurposeConfig(published_fraction=0.928, margin_fraction=0.03)


def text_of(table: Table) -> list[str]:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(table)
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def math500(problems: int, purpose: PurposeConfig | None = PURPOSE) -> PlannedTask:
    return PlannedTask(f"math500:{problems}", problems, 500, purpose)


# --- a plan ------------------------------------------------------------------------------------


def test_a_plan_shows_the_worst_case_and_a_good_score_unless_one_is_expected() -> None:
    lines = text_of(forecast_table([math500(100, None), math500(500)], SAMPLED))
    assert [line.split()[1] for line in lines[2:]] == ["50", "90", "92.8"]
    # 1.96 standard errors of 0.41 and 0.91 points; to a published score 2.80 of sqrt(0.41² + 0.43²)
    assert lines[4] == "math500:500 92.8 % ± 0.8 ± 1.8 2.1 1.7"


def test_too_few_problems_to_find_anything_say_none() -> None:
    lines = text_of(forecast_table([PlannedTask("math_mini:3", 3, 12, None)], SINGLE))
    assert lines[2].split()[-2] == "none"


def test_a_plan_that_decides_gives_no_warning() -> None:
    notes = forecast_notes([math500(500)], SAMPLED)
    assert mentions(notes[-1], "math500:500", "92.8 % ± 3 points", "2 points", "100 %")
    assert not notes[-1].startswith("WARNING")


@pytest.mark.parametrize(
    ("protocol", "margin", "advice"),
    [
        (SINGLE, 0.03, ("500 problems", "protocol.samples_per_problem=2")),
        (SINGLE, 0.001, ("500 problems", "64 samples", "margin")),
        (GREEDY, 0.001, ("500 problems", "margin")),
    ],
)
def test_a_subset_that_cannot_decide_is_warned_of(
    protocol: ProtocolConfig, margin: float, advice: tuple[str, ...]
) -> None:
    purpose = PURPOSE.model_copy(update={"margin_fraction": margin})
    warning = forecast_notes([math500(100, purpose)], protocol)[-1]
    assert mentions(warning, "WARNING    math500:100 ", *advice)
    assert ("samples" in warning) == (protocol is SINGLE)


def test_a_plan_says_what_one_sample_leaves_unknown() -> None:
    single, greedy, sampled = (
        "\n".join(forecast_notes([math500(100, None)], each)) for each in (SINGLE, GREEDY, SAMPLED)
    )
    assert "decoding noise" in single
    assert "greedy: the same" in greedy
    assert "decoding noise" not in sampled
    assert "greedy" not in sampled


def test_what_is_assumed_is_what_the_purpose_says() -> None:
    tasks = [math500(100, PurposeConfig(expected_correlation=0.8)), math500(50, None)]
    assert "rho = 0.5, 0.8;" in forecast_notes(tasks, SAMPLED)[0]


def test_a_published_score_of_many_samples_is_told_from_by_less() -> None:
    drawn = [
        PlannedTask("aime24", 30, 30, PurposeConfig(expected_fraction=0.5, **given))
        for given in ({}, {"published_samples": 64})
    ]
    protocol = SAMPLED.model_copy(update={"samples_per_problem": 64})
    few, many = text_of(forecast_table(drawn, protocol))[2:]
    # 2.80 standard errors of sqrt(0.125 (1/64 + 1/4) / 30) and sqrt(0.125 (1/64 + 1/64) / 30)
    assert few == "aime24 50 % ± 1.6 ± 12.4 9.0 9.3"
    assert many == "aime24 50 % ± 1.6 ± 12.4 9.0 3.2"
    assert "4, 64 samples" in "\n".join(forecast_notes(drawn, protocol))


# --- a run -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def baseline() -> RunResult:
    text = (BASELINES / "smollm2_135m_standard_vllm.json").read_text(encoding="utf-8")
    return RunResult.model_validate_json(text)


def shown(result: RunResult, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_summary(result, Path("folder"), ())
    return [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]


def test_each_interval_says_which_question_it_answers(
    baseline: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = shown(baseline, capsys)
    this, new = (line for line in lines if line.startswith("95 %, "))
    assert mentions(this, "this", "unknown, greedy 0.0 to 3.7 %")
    assert mentions(new, "new", "2.9 to 10.1 % 0.0 to 3.7 %")
    assert any(line.startswith("energy unknown: ") for line in lines)


def test_how_long_it_took_stands_beside_what_was_expected(
    baseline: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = ExpectedTime(
        basis="roofline",
        source="made up",
        output_tokens=1,
        load_s=1.0,
        generation_s=180.0,
        generation_low_s=65.0,
        generation_high_s=600.0,
        usd=None,
    )
    manifest = baseline.manifest.model_copy(update={"expected": expected})
    lines = shown(baseline.model_copy(update={"manifest": manifest}), capsys)
    (took,) = [number for number, each in enumerate(lines) if each.startswith("generation ")]
    assert lines[took].endswith(" s")
    assert mentions(lines[took + 1], "expected", "3 min (65 s to 10 min; basis: ", "roofline")


@pytest.mark.parametrize(
    ("usd", "solved", "said"),
    [
        ([1.0] * 30, [0] * 27 + [1] * 3, "2.5 %"),
        ([1.0] * 20, [0] * 10 + [1] * 10, "30 problems"),
        (list(range(1, 41)), [1] * 40, None),
        ([1.0] * 40, [0] * 40, None),  # no cost either, and that has a reason of its own
    ],
)
def test_a_cost_says_why_it_has_no_upper_end(
    usd: list[float], solved: list[int], said: str | None
) -> None:
    found = cost_per_solved(usd, solved)
    why = missing_end(from_interval("cost_per_solved.rented", found, "USD"))
    assert why is None if said is None else mentions(known(why), said)
    assert (found.value is None or found.high is not None) == (said is None)


def test_the_summary_says_why_a_cost_has_no_upper_end(
    baseline: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    interval = cost_per_solved([1.0] * 30, [0] * 27 + [1] * 3)
    cost = from_interval("cost_per_solved.rented", interval, "USD")
    others = [e for e in baseline.estimates if (e.metric, e.task) != (cost.metric, None)]
    result = baseline.model_copy(update={"estimates": (*others, cost)})
    text = " ".join(shown(result, capsys))
    assert mentions(text, "upper end", "2.5 %")


def test_several_samples_show_both_intervals_and_rho(
    baseline: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    protocol = baseline.manifest.config.protocol.model_copy(update={"samples_per_problem": 4})
    config = baseline.manifest.config.model_copy(update={"protocol": protocol})
    session = baseline.manifest.sessions[0].model_copy(
        update={"energy_joules": 1000.0, "energy_source": "RAPL, package 0"}
    )
    manifest = baseline.manifest.model_copy(update={"config": config, "sessions": (session,)})
    assert manifest.energy == Energy(1000.0, "RAPL, package 0")
    one = {"unit": "fraction", "n": 164, "method": "by hand", "task": "humaneval"}
    estimates = (
        Estimate(metric="accuracy", value=0.5, low=0.4, high=0.6, **one),
        Estimate(metric="accuracy.fixed_benchmark", value=0.5, low=0.45, high=0.55, **one),
        Estimate(metric="within_problem_correlation", value=0.456, **one),
        Estimate(
            metric="joules_per_output_token", value=0.25, unit="J/token", n=9, method="by hand"
        ),
    )
    lines = shown(
        baseline.model_copy(update={"manifest": manifest, "estimates": estimates}), capsys
    )
    this, new = (line for line in lines if line.startswith("95 %, "))
    assert mentions(this, "this", "45.0 to 55.0 % unknown")
    assert mentions(new, "new", "40.0 to 60.0 % unknown")
    (rho,) = (line for line in lines if line.startswith("rho"))
    assert rho.endswith(" 0.46 unknown")
    assert "energy 1,000 J, 0.25 J/token (RAPL, package 0)" in lines


def point(
    budget: int, solved: int, usd: float, further: float | None, task: str | None = None
) -> BudgetPoint:
    accuracy = Estimate(
        metric="accuracy", value=solved / 10, unit="fraction", n=10, method="by hand", task=task
    )
    cost = BudgetCost(
        basis="rented",
        usd=usd,
        usd_per_solved=usd / solved if solved else None,
        usd_per_further_solved=further,
        method="by hand",
    )
    return BudgetPoint(
        task=task,
        budget_tokens=budget,
        samples=10,
        ended=10,
        solved=solved,
        completion_tokens=budget,
        accuracy=None if task is None else accuracy,
        costs=(cost,),
    )


def test_the_budget_table_shows_where_a_budget_makes_a_difference(baseline: RunResult) -> None:
    assert budget_table(baseline) is None  # all nine are solved within 128 tokens
    curve = [
        point(budget, solved, usd, further, task)
        for task in (None, "humaneval", "math500")
        for budget, solved, usd, further in (
            (128, 0, 1.0, None),
            (256, 2, 1.5, 0.25),
            (400, 5, 3.0, 0.5),
        )
    ]
    table = budget_table(baseline.model_copy(update={"budget_curve": tuple(curve)}))
    assert table is not None
    assert text_of(table)[2:] == [
        "256 20.0 % 20.0 % 1.5 0.75 0.25",
        "400 50.0 % 50.0 % 3 0.6 0.5",
    ]


# --- the answer of a run --------------------------------------------------------------------------


def answer(result: RunResult, capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_answer(result, Path("results/runs/mine"))
    return capsys.readouterr().err.strip("\n").splitlines()


def test_a_run_ends_with_its_answer_in_five_lines_and_a_rule(
    baseline: RunResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    first, second, *lines, rule = answer(baseline, capsys)  # two tasks, a line for each
    assert mentions(first, "accuracy", "humaneval", "5.5 %", "2.9 to 10.1 %")
    assert mentions(second, "math500:100", "0.0 to 3.7 %")
    assert [line.split()[0] for line in lines] == ["speed", "cost", "no", "next"]
    assert mentions(lines[0], "238 tokens/s")
    assert mentions(lines[1], "at least 0.000642 USD rented")
    assert mentions(lines[2], "71 truncated", "400", "21 without", "264")
    assert lines[3].split()[1:] == ["harness", "report", "results/runs/mine"]
    assert set(rule) == {"-"}


def test_what_failed_comes_with_the_command_that_asks_it_again(
    baseline: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = baseline.outcomes
    failed = first.model_copy(update={"status": "generation_error"})
    lines = answer(baseline.model_copy(update={"outcomes": (failed, *others)}), capsys)
    assert any("1 failed" in line for line in lines)
    assert {"resume=results/runs/mine", "retry=errors"} <= set(lines[-2].split())


def test_without_gaps_or_a_price_the_answer_says_so(
    baseline: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    solved = tuple(each.model_copy(update={"status": "correct"}) for each in baseline.outcomes)
    pricing = baseline.pricing.model_copy(update={"rented": None, "owned": None, "api": None})
    result = baseline.model_copy(update={"outcomes": solved, "pricing": pricing})
    lines = answer(result, capsys)
    assert not any(line.startswith("no answer") for line in lines)
    assert any(line.startswith("cost ") and "conf/pricing" in line for line in lines)
