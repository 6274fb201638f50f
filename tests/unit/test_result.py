"""From files to a result: sessions, prices, limits."""

import shutil
from pathlib import Path

import pytest
import yaml

from harness.config.pricing import Pricing
from harness.io.paths import CONF_DIR
from harness.machine.energy import Energy
from harness.records import Estimate
from harness.runner.build_result import (
    build_result,
    choose_pricing,
    exit_status,
    recomputed,
    usd_per_s,
)
from harness.store.result import RunResult
from harness.store.run_files import Run
from tests.engines import made_up_engine
from tests.facts import known, mentions

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("golden") / "run"
    shutil.copytree(GOLDEN, folder)
    run = Run(folder)
    return build_result(run, run.read_manifest())


def figure(result: RunResult, metric: str, task: str | None = None) -> Estimate:
    return next(e for e in result.estimates if e.metric == metric and e.task == task)


def test_a_golden_run_gives_the_figures_that_it_gave(result: RunResult) -> None:
    for task in ("humaneval", "math_mini"):
        mine = [o for o in result.outcomes if o.request_id.startswith(f"{task}/")]
        correct = sum(o.status == "correct" for o in mine)
        assert figure(result, "accuracy", task).value == correct / 20
    tokens = sum(known(o.completion_tokens) for o in result.outcomes)
    assert figure(result, "completion_tokens.total").value == tokens
    span = figure(result, "generation_s").value
    assert figure(result, "output_tokens_per_s").value == pytest.approx(tokens / known(span))
    rent = result.pricing.rented
    used = figure(result, "machine_s")
    assert known(used.value) >= known(span)
    assert used.bound == "lower"  # an older run: its end is not on record
    usd = (
        known(rent).usd_per_hour
        * known(result.manifest.engine).device_count
        * known(used.value)
        / 3600
    )
    assert figure(result, "cost.rented").value == pytest.approx(usd)
    solved = sum(o.status == "correct" for o in result.outcomes)
    assert figure(result, "cost_per_solved.rented").value == pytest.approx(usd / solved)


def test_energy_is_that_of_all_sessions_and_unknown_when_one_is(result: RunResult) -> None:
    session = result.manifest.sessions[0]

    def energy(*sessions: tuple[float | None, str | None]) -> Energy:
        each = tuple(
            session.model_copy(update={"energy_joules": joules, "energy_source": source})
            for joules, source in sessions
        )
        return result.manifest.model_copy(update={"sessions": each}).energy

    assert energy((5.0, "RAPL, package 0"), (7.0, "RAPL, package 0")) == (12.0, "RAPL, package 0")
    assert energy((5.0, "NVML, 1 GPU"), (7.0, "NVML, 2 GPUs")) == (
        12.0,
        "NVML, 1 GPU; NVML, 2 GPUs",
    )
    assert energy((5.0, "NVML, 1 GPU"), (None, "none: why")) == (None, "session 2 of 2: why")
    for parts, why in ((((None, None),), "recorded"), ((), "generated")):
        assert energy(*parts)[0] is None
        assert mentions(energy(*parts)[1], why)


def test_the_curve_ends_in_the_run_itself(result: RunResult) -> None:
    for task in ("humaneval", "math_mini"):
        line = [point for point in result.budget_curve if point.task == task]
        assert [point.budget_tokens for point in line] == [128, 256, 400]
        assert known(line[-1].accuracy).value == figure(result, "accuracy", task).value
    whole = [point for point in result.budget_curve if point.task is None][-1]
    assert whole.completion_tokens == figure(result, "completion_tokens.total").value
    (rented,) = whole.costs
    assert rented.usd == pytest.approx(figure(result, "cost.rented").value)


def test_no_accuracy_is_averaged_over_tasks(result: RunResult) -> None:
    assert {e.task for e in result.estimates if e.metric == "accuracy"} == {
        "humaneval",
        "math_mini",
    }


def test_a_result_is_itself_again_after_writing(result: RunResult) -> None:
    assert type(result).model_validate_json(result.model_dump_json()) == result


def test_a_result_whose_run_is_gone_is_computed_anew_from_itself(result: RunResult) -> None:
    assert recomputed(result) == result


def test_auto_prices_the_device_that_was_used() -> None:
    auto = Pricing(name="auto")
    assert choose_pricing(auto, made_up_engine()).name == "h200"
    assert (
        choose_pricing(auto, made_up_engine(device="cpu", device_name="Some CPU")).name
        == "cpu_cloud"
    )
    assert choose_pricing(auto, made_up_engine(device_name="NVIDIA Unheard-of")).name == "none"


def test_auto_adds_its_own_prices_to_those_of_the_device() -> None:
    auto = Pricing.model_validate(yaml.safe_load((CONF_DIR / "pricing/auto.yaml").read_text()))
    chosen = choose_pricing(auto, made_up_engine())
    assert chosen.bases() == ("rented", "api")
    assert chosen.rented == choose_pricing(Pricing(name="auto"), made_up_engine()).rented
    assert chosen.api == auto.api
    r1 = yaml.safe_load((CONF_DIR / "pricing/api_deepseek_r1.yaml").read_text())
    assert auto.api == Pricing.model_validate(r1).api  # one price, in two files
    assert choose_pricing(auto, made_up_engine(device_name="NVIDIA Unheard-of")).bases() == ("api",)


def test_a_named_price_list_is_kept_whatever_the_device() -> None:
    named = Pricing(name="mine")
    assert choose_pricing(named, made_up_engine()) is named


def test_a_second_costs_what_all_devices_cost() -> None:
    pricing = choose_pricing(Pricing(name="auto"), made_up_engine())
    assert usd_per_s(pricing, made_up_engine(device_count=2)) == pytest.approx(
        2 * known(pricing.rented).usd_per_hour / 3600
    )
    assert usd_per_s(Pricing(name="none"), made_up_engine()) is None


def test_limits_decide_between_0_and_4(result: RunResult) -> None:
    assert exit_status(result) == (0, ())
    outcomes = [
        outcome.model_copy(update={"status": "scorer_error"}) if i < 2 else outcome
        for i, outcome in enumerate(result.outcomes)
    ]
    bad = exit_status(result.model_copy(update={"outcomes": tuple(outcomes)}))
    assert bad.status == 4
    (reason,) = bad.reasons
    assert mentions(reason, "2 of 40 requests", "limits.max_error_fraction=0.02")
