"""Verdicts: each rule on runs of real shape, and the whole ledger without any."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.claims import documents
from harness.claims.claim import MarketMove, Method
from harness.claims.judge import judge_claims
from harness.claims.ledger import Ledger, load_ledger
from harness.claims.market import market_verdict
from harness.claims.published import LEAST_P, challenge_p
from harness.claims.runs import read_runs
from harness.claims.study import default_study
from harness.claims.verdict import DECISIONS, Evidence, Judgement, Opinion, overall
from harness.cli import main as cli
from harness.errors import StoreError, UserError
from harness.quantities import quantity
from tests.conftest import REPOSITORY
from tests.facts import known, mentions, narrowed
from tests.unit.claim_runs import BASELINE, SIZES, make_run, spread

PUBLISHED_7B = "published/distill_table/r1_distill_qwen_7b/math500/accuracy"


@pytest.fixture(scope="session")
def ledger() -> Ledger:
    return load_ledger()


@pytest.fixture
def verdict(ledger: Ledger, tmp_path: Path) -> Callable[..., Judgement]:
    """The judgement of one claim from some result files."""

    def of(name: str, *files: str) -> Judgement:
        claims = {name: ledger.claims[name]} if name in ledger.claims else {}
        tables = {} if claims else ledger.tables
        found = judge_claims(
            ledger._replace(claims=claims, tables=tables), read_runs(files, tmp_path)
        )
        return next(each for each in found if each.id == name)

    return of


# --- R2: a distill as a lower bound -----------------------------------------------------------


def test_a_distill_above_the_figure_challenges_it(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    """92.8 % of 500 problems with four answers: R1 is understated."""
    found = verdict("r1-math500-85", make_run(tmp_path, "a", solved=spread(500, 4, 1856)))
    assert (found.verdict, found.tag, found.stands_on) == ("challenged", "value", "measured")
    evidence = known(found.measured).evidence[0]
    assert evidence.numbers["score"] == pytest.approx(0.928)
    assert 0.89 < known(evidence.intervals[0].low) < 0.92
    assert evidence.numbers["upper_edge_of_the_claim"] == 0.855
    assert known(evidence.p) < 0.001
    assert found.decide is None
    assert mentions(found.caveats[0], "distill", "R1")
    assert not any("planned" in caveat for caveat in found.caveats)


def test_a_distill_near_the_figure_decides_nothing(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    found = verdict("r1-math500-85", make_run(tmp_path, "a", solved=spread(500, 4, 1720)))
    assert found.verdict == "inconclusive"
    assert known(found.documentary).verdict == "challenged"  # in its own column


@pytest.mark.parametrize("solved", [0, 1000, 1640])
def test_a_distill_never_reproduces_nor_shows_r1_too_high(
    verdict: Callable[..., Judgement], tmp_path: Path, solved: int
) -> None:
    found = verdict("r1-math500-85", make_run(tmp_path, "a", solved=spread(500, 4, solved)))
    assert found.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("claim", "task", "solved", "expected"),
    [
        ("r1-math500-85", "math500", 441, "challenged"),
        ("r1-math500-85", "math500", 440, "inconclusive"),
        ("r1-humaneval-92", "humaneval", 158, "challenged"),
        ("r1-humaneval-92", "humaneval", 157, "inconclusive"),
    ],
)
def test_the_thresholds_that_were_written_down(
    verdict: Callable[..., Judgement],
    tmp_path: Path,
    claim: str,
    task: str,
    solved: int,
    expected: str,
) -> None:
    """Wilson's bound with one answer a problem: 441 of 500, 158 of 164."""
    file = make_run(tmp_path, "a", task=task, samples=1, solved=spread(SIZES[task], 1, solved))
    found = verdict(claim, file)
    assert found.verdict == expected
    assert any(mentions(caveat, "1 samples ") for caveat in found.caveats)


def test_two_weak_challenges_do_not_survive_holm(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    files = [
        make_run(tmp_path, model, model=model, samples=1, solved=spread(500, 1, 441))
        for model in ("r1_distill_qwen_7b", "r1_distill_llama_8b")
    ]
    found = verdict("r1-math500-85", *files)
    assert found.verdict == "inconclusive"
    assert all(known(each.p) < 0.05 < known(each.p_holm) for each in known(found.measured).evidence)
    assert any("significant" in caveat for caveat in found.caveats)


def test_the_best_of_several_distills_decides_and_all_are_listed(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    weak = make_run(tmp_path, "w", model="r1_distill_qwen_1_5b", solved=spread(500, 4, 1678))
    found = verdict("r1-math500-85", weak, make_run(tmp_path, "s", solved=spread(500, 4, 1856)))
    assert found.verdict == "challenged"
    assert [each.verdict for each in known(found.measured).evidence] == [
        "inconclusive",
        "challenged",
    ]
    assert "r1_distill_qwen_7b" in found.reason
    assert "1_5b" not in found.reason


def test_truncation_and_errors_leave_no_challenge(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    solved = spread(500, 4, 1856)
    found = verdict("r1-math500-85", make_run(tmp_path, "a", solved=solved, truncated=60))
    assert found.verdict == "inconclusive"
    assert any(mentions(c, "3.0 %", "truncated", "2 %", "inconclusive") for c in found.caveats)
    found = verdict("r1-math500-85", make_run(tmp_path, "b", solved=solved, truncated=40))
    assert found.verdict == "challenged"
    assert any(mentions(c, "2.0 %", "truncated") for c in found.caveats)
    found = verdict("r1-math500-85", make_run(tmp_path, "c", solved=solved, errors=60))
    assert found.verdict == "inconclusive"
    assert any(mentions(c, "3.0 %", "errors", "inconclusive") for c in found.caveats)


# --- not comparable ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"protocol": "greedy", "samples": 1}, "protocol: … temperature 0.0 … 0.6"),
        (
            {"protocol_changes": {"max_new_tokens": 8192}},
            "protocol: … max_new_tokens 8192 … 32768",
        ),
        ({"protocol_changes": {"force_think": False}}, "protocol: … force_think False"),
        (
            {"model": "qwen2_5_7b_instruct", "protocol": "greedy", "samples": 1},
            "model: … qwen2_5_7b_instruct",
        ),
        ({"problems": 100}, "subset: … 100 of 500"),
        ({"task": "humaneval"}, "tasks … humaneval … math500"),
        ({"status": "running"}, "unfinished: … running"),
        (
            {"engine": {"kind": "vllm", "dtype": "auto", "args": {"quantization": "fp8"}}},
            "weights: … fp8",
        ),
        (
            {"engine": {"kind": "vllm", "dtype": "auto", "args": {"kv_cache_dtype": "fp8"}}},
            "cache: … fp8",
        ),
    ],
)
def test_a_run_that_does_not_fit_says_why_and_gives_no_verdict(
    verdict: Callable[..., Judgement], tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    found = verdict("r1-math500-85", make_run(tmp_path, "a", **changes))
    assert found.verdict == "untested"
    assert found.decide == "harness run experiment=r1_math500_85"
    (evidence,) = known(found.measured).evidence
    assert evidence.verdict == "not comparable"
    assert mentions(evidence.text, why)
    assert evidence.run_ids == ("a",)


@pytest.mark.parametrize(
    ("place", "changes", "why"),
    [
        ("model", {"hub_id": "somebody/else"}, "only named r1_distill_qwen_7b: somebody/else@"),
        ("config", {"engine": {"kind": "replay", "run": "r"}}, "replayed answers"),
        ("engine", {"weights_sha256": None}, "weights unknown"),
        ("engine", {"dtype": "bfloat16, awq weights"}, "quantised weights: awq"),
    ],
)
def test_a_name_is_no_proof_of_the_weights(
    verdict: Callable[..., Judgement],
    tmp_path: Path,
    place: str,
    changes: dict[str, Any],
    why: str,
) -> None:
    file = make_run(tmp_path, "a", solved=spread(500, 4, 1856))
    assert verdict("r1-math500-85", file).verdict == "challenged"
    result = json.loads((tmp_path / "a.json").read_text())
    manifest = result["manifest"]
    engines = [session["engine"] for session in manifest["sessions"]]
    config = manifest["config"]
    for each in {"model": [config["model"]], "config": [config], "engine": engines}[place]:
        each.update(changes)
    (tmp_path / "a.json").write_text(json.dumps(result))
    for name in ("r1-math500-85", PUBLISHED_7B):
        found = verdict(name, file)
        assert found.verdict == "untested"
        assert why in known(found.measured).evidence[0].text


def test_a_local_folder_of_that_name_is_not_the_model(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    file = make_run(tmp_path, "a", solved=spread(500, 4, 1856))
    result = json.loads((tmp_path / "a.json").read_text())
    local = {"kind": "local", "name": "r1_distill_qwen_7b", "path": "/models/mine"}
    result["manifest"]["config"]["model"] = local
    (tmp_path / "a.json").write_text(json.dumps(result))
    found = verdict("r1-math500-85", file)
    assert found.verdict == "untested"
    assert "only named r1_distill_qwen_7b: /models/mine" in known(found.measured).evidence[0].text


def test_a_run_that_allows_itself_all_errors_is_allowed_no_more(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    file = make_run(tmp_path, "a", solved=spread(500, 4, 1856), errors=100)
    result = json.loads((tmp_path / "a.json").read_text())
    result["manifest"]["config"]["limits"]["max_error_fraction"] = 1.0
    (tmp_path / "a.json").write_text(json.dumps(result))
    assert verdict("r1-math500-85", file).verdict == "inconclusive"


def test_a_control_is_run_by_the_command_that_is_given(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    name = "published/qwen2_5_instruct/qwen2_5_7b_instruct/humaneval/accuracy"
    file = make_run(
        tmp_path,
        "a",
        model="qwen2_5_7b_instruct",
        task="humaneval",
        samples=1,
        protocol="greedy_long",
        solved=spread(164, 1, 139),
    )
    assert known(verdict(name).decide).split()[3] == "protocol=greedy_long"
    assert verdict(name, file).verdict in ("reproduced", "inconclusive")
    assert "84.8" in verdict(name, file).reason


def test_another_prompt_or_revision_does_not_fit(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    file = make_run(tmp_path, "a")
    result = json.loads((tmp_path / "a.json").read_text())
    result["manifest"]["protocol_fields"]["math500"]["prompt_sha256"] = "0" * 64
    result["manifest"]["config"]["model"]["revision"] = "f" * 40
    (tmp_path / "a.json").write_text(json.dumps(result))
    text = known(verdict("r1-math500-85", file).measured).evidence[0].text
    assert mentions(text, "revision", "r1_distill_qwen_7b: ffffffffffff")
    assert mentions(text, "prompt", "math500")


def test_an_unfinished_run_without_a_result_is_named_too(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    result = json.loads(BASELINE.read_text())
    folder = tmp_path / "runs" / "half"
    folder.mkdir(parents=True)
    manifest = result["manifest"] | {"run_id": "half", "status": "interrupted"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (evidence,) = known(verdict("r1-math500-85", "half").measured).evidence
    assert mentions(evidence.text, "unfinished: ", "interrupted")


def test_the_committed_runs_fit_no_claim(ledger: Ledger, tmp_path: Path) -> None:
    found = judge_claims(ledger, read_runs([str(BASELINE)], tmp_path))
    assert all(
        each.verdict == "not comparable"
        for judgement in found
        if judgement.measured
        for each in judgement.measured.evidence
    )


# --- R1: published scores ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solved", "expected"),
    [
        (1856, "reproduced"),  # 92.8, as published
        (1826, "reproduced"),  # 91.3: 1.5 points, within the margin of 3
        (1800, "inconclusive"),  # 90.0
        (1720, "challenged"),  # 86.0: 6.8 points
    ],
)
def test_a_published_score_is_tested_for_equivalence(
    verdict: Callable[..., Judgement], tmp_path: Path, solved: int, expected: str
) -> None:
    found = verdict(PUBLISHED_7B, make_run(tmp_path, "a", solved=spread(500, 4, solved)))
    assert (found.verdict, found.article) == (expected, None)
    (evidence,) = known(found.measured).evidence
    assert {each.of for each in evidence.intervals} == {
        "difference, fixed_benchmark",
        "difference, new_problems",
    }
    assert narrowed(float, evidence.numbers["published_standard_error"]) > 0


def test_aime_can_be_decided_with_64_samples(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    name = "published/distill_table/r1_distill_qwen_7b/aime24/accuracy"
    published = make_run(tmp_path, "a", task="aime24", samples=64, solved=spread(30, 64, 1066))
    assert verdict(name, published).verdict == "reproduced"
    lower = make_run(tmp_path, "b", task="aime24", samples=64, solved=spread(30, 64, 800))
    assert verdict(name, lower).verdict == "challenged"


def test_one_sample_a_problem_is_judged_by_the_wider_interval(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    found = verdict(PUBLISHED_7B, make_run(tmp_path, "a", samples=1, solved=spread(500, 1, 464)))
    assert found.verdict == "reproduced"
    assert any("interval" in caveat for caveat in found.caveats)
    assert known(found.measured).evidence[0].intervals[0].low is None


def test_truncation_leaves_a_published_score_open(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    file = make_run(tmp_path, "a", solved=spread(500, 4, 1856), truncated=60)
    assert verdict(PUBLISHED_7B, file).verdict == "inconclusive"


def test_of_several_runs_the_one_with_the_most_answers_decides(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    small = make_run(tmp_path, "small", samples=1, solved=spread(500, 1, 430))
    large = make_run(tmp_path, "large", solved=spread(500, 4, 1856))
    found = verdict(PUBLISHED_7B, small, large)
    assert found.verdict == "reproduced"
    assert [each.run_ids for each in known(found.measured).evidence] == [("small",), ("large",)]
    other = make_run(tmp_path, "other", solved=spread(500, 4, 1720), seed=1)
    found = verdict(PUBLISHED_7B, large, other)
    assert (found.verdict, found.tag) == ("inconclusive", "scope")


def test_a_score_mentions_runs_of_its_own_model_only(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    file = make_run(tmp_path, "a", model="r1_distill_llama_8b")
    assert known(verdict(PUBLISHED_7B, file).measured).evidence == ()


# --- R4: two by two ---------------------------------------------------------------------------

OFF, DRAFT = None, {"method": "eagle3", "num_speculative_tokens": 1}
NOISE = (0.0, 0.01, -0.01, 0.005, -0.005)


def two_by_two(  # noqa: PLR0913 - one for each thing that can be wrong with a design
    folder: Path,
    draft: float,
    fp8: float,
    *,
    solved: dict[str, list[int]] | None = None,
    cells: int = 4,
    seeds: int = 5,
    batch: int = 1,
    noise: Sequence[float] = NOISE,
    cut: Sequence[tuple[str, int]] = (),
) -> list[str]:
    """Files of a design in which each factor multiplies the speed."""
    files = []
    design = (
        ("none", OFF, None, 1.0),
        ("draft", DRAFT, None, draft),
        ("fp8", OFF, "fp8_per_tensor", fp8),
        ("both", DRAFT, "fp8", draft * fp8),
    )
    for place, (name, config, quantization, factor) in enumerate(design[:cells]):
        for seed in range(seeds):
            args = {
                "speculative_config": config,
                "quantization": quantization,
                "max_num_seqs": batch,
            }
            slower = 1 + noise[(seed + place) % len(noise)]
            files.append(
                make_run(
                    folder,
                    f"{name}-{batch}-{seed}",
                    model="r1_distill_llama_8b",
                    problems=20,
                    samples=1,
                    solved=[1] * 19 + [0] if (name, seed) in cut else (solved or {}).get(name),
                    truncated=int((name, seed) in cut),
                    seed=seed,
                    engine={"kind": "vllm", "dtype": "auto", "args": args},
                    figures={"output_tokens_per_s": 100 * factor * slower},
                )
            )
    return files


def test_a_speed_up_is_taken_apart(verdict: Callable[..., Judgement], tmp_path: Path) -> None:
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.5, 1.2))
    assert known(found.measured).verdict == "reproduced"
    numbers = known(found.measured).evidence[0].numbers
    assert numbers["speculative_decoding"] == pytest.approx(1.5, rel=0.01)
    assert numbers["fp8"] == pytest.approx(1.2, rel=0.01)
    assert numbers["both"] == pytest.approx(1.8, rel=0.02)
    assert numbers["interaction"] == pytest.approx(1.0, rel=0.02)
    assert numbers["repetitions"] == 5
    # The ratio agrees, and the documents say that it is not training's.
    assert (found.verdict, found.tag) == ("challenged", "attribution")


def test_a_factor_that_adds_nothing_is_named_wrongly(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.8, 1.0))
    assert (known(found.measured).verdict, known(found.measured).tag) == (
        "challenged",
        "attribution",
    )


def test_a_ratio_outside_the_band_is_challenged_and_a_noisy_one_is_not(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.2, 1.1))
    assert (known(found.measured).verdict, known(found.measured).tag) == ("challenged", "value")
    wild = (0.0, 0.6, -0.5, 0.3, -0.3)
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.4, 1.1, noise=wild))
    assert known(found.measured).verdict == "inconclusive"


def test_settings_that_disagree_leave_it_open(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    files = two_by_two(tmp_path, 1.5, 1.2) + two_by_two(tmp_path, 1.1, 1.0, batch=20)
    found = verdict("mtp-fp8-1-8x", *files)
    assert [each.verdict for each in known(found.measured).evidence] == ["reproduced", "challenged"]
    assert (found.verdict, known(found.measured).tag) == ("inconclusive", "scope")


def test_worse_answers_trip_the_guard(verdict: Callable[..., Judgement], tmp_path: Path) -> None:
    worse = {"both": [1] * 8 + [0] * 12}
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.5, 1.2, solved=worse))
    assert known(found.measured).verdict == "inconclusive"
    assert any("guard" in caveat for caveat in found.caveats)


def test_truncation_is_that_of_all_repetitions(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    """One of a run's 20 answers is 5 %, one of a cell's 100 is 1 %."""
    claim, factors = "mtp-fp8-1-8x", (1.5, 1.2)
    found = verdict(claim, *two_by_two(tmp_path, *factors, cut=[("both", 0), ("fp8", 3)]))
    assert known(found.measured).verdict == "reproduced"
    found = verdict(claim, *two_by_two(tmp_path, *factors, cut=[("both", s) for s in range(3)]))
    assert known(found.measured).verdict == "inconclusive"
    assert any(mentions(caveat, "3.0 %", "truncated") for caveat in found.caveats)


def test_a_design_that_is_not_whole_gives_no_verdict(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.5, 1.2, cells=3))
    assert found.verdict == "untested"
    assert "speculative_decoding on, fp8 on" in known(found.measured).evidence[0].text
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.5, 1.2, batch=64))
    assert mentions(known(found.measured).evidence[0].text, "batch size 64", "1, 20")
    found = verdict("mtp-fp8-1-8x", *two_by_two(tmp_path, 1.5, 1.2, seeds=1))
    assert known(found.measured).verdict == "inconclusive"
    assert any(mentions(caveat, "1 repetitions", "5") for caveat in found.caveats)


# --- proxies ----------------------------------------------------------------------------------


def proxies(
    folder: Path,
    ratio: float,
    seeds: int = 5,
    batch: int = 32,
    dense: dict[str, object] | None = None,
) -> list[str]:
    files = []
    for model, factor in (("deepseek_v2_lite_chat", ratio), ("qwen2_5_14b_instruct", 1.0)):
        for seed in range(seeds):
            args = (
                {"max_num_seqs": batch, **(dense or {})} if factor == 1.0 else {"max_num_seqs": 32}
            )
            speed = 1000 * factor * (1 + NOISE[(seed + len(model)) % 5])
            files.append(
                make_run(
                    folder,
                    f"{model}-{seed}",
                    model=model,
                    problems=100,
                    samples=1,
                    protocol="greedy",
                    seed=seed,
                    engine={"kind": "vllm", "dtype": "auto", "args": args},
                    figures={"output_tokens_per_s.steady_state": speed},
                )
            )
    return files


@pytest.mark.parametrize(
    ("ratio", "expected"), [(2.0, "reproduced"), (1.0, "inconclusive"), (0.7, "challenged")]
)
def test_a_proxy_against_its_dense_counterpart(
    verdict: Callable[..., Judgement], tmp_path: Path, ratio: float, expected: str
) -> None:
    found = verdict("moe-same-quality-less-compute", *proxies(tmp_path, ratio))
    assert known(found.measured).verdict == expected
    assert found.verdict == known(found.derived).verdict  # the arithmetic decides this claim
    assert found.stands_on == "derived"


@pytest.mark.parametrize(
    "other", [{"batch": 8}, {"dense": {"enforce_eager": True}}, {"dense": {"quantization": "fp8"}}]
)
def test_a_proxy_in_another_setting_is_not_compared(
    verdict: Callable[..., Judgement], tmp_path: Path, other: dict[str, Any]
) -> None:
    found = verdict("moe-same-quality-less-compute", *proxies(tmp_path, 2.0, seeds=1, **other))
    assert known(found.measured).verdict == "untested"
    assert "seed 0" in known(found.measured).evidence[0].text


def home(
    folder: Path,
    name: str,
    speed: float,
    model: str = "r1_distill_qwen_1_5b",
    memory: int | None = 4_000_000_000,
) -> str:
    cpu = {"kind": "transformers", "device": "cpu", "max_batch_size": 1}
    file = make_run(
        folder,
        name,
        model=model,
        problems=3,
        samples=1,
        engine=cpu,
        device="cpu",
        figures={"output_tokens_per_s": speed},
    )
    result = json.loads((folder / f"{name}.json").read_text())
    for session in result["manifest"]["sessions"]:
        session["engine"]["peak_memory_bytes"] = memory
    (folder / f"{name}.json").write_text(json.dumps(result))
    return file


def test_a_home_pc_takes_score_speed_and_memory(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    model = "r1_distill_qwen_1_5b"
    good = make_run(tmp_path, "good", model=model, samples=1, solved=spread(500, 1, 420))
    below = make_run(tmp_path, "below", model=model, samples=1, solved=spread(500, 1, 350))
    poor = make_run(tmp_path, "poor", model=model, samples=1, solved=spread(500, 1, 320))
    fast = home(tmp_path, "fast", 12.0)
    claim = "slimmed-r1-on-home-pc"
    assert verdict(claim, good, fast).verdict == "reproduced"
    assert verdict(claim, good).verdict == "inconclusive"
    assert verdict(claim, fast).verdict == "inconclusive"
    assert verdict(claim, poor, fast).verdict == "challenged"
    # 70 % may be the 71.6 that are needed; too slow in 16 bits may be fast enough in 4.
    assert verdict(claim, below, fast).verdict == "inconclusive"
    assert verdict(claim, good, home(tmp_path, "slow", 3.0)).verdict == "inconclusive"
    cut = make_run(
        tmp_path, "cut", model=model, samples=1, solved=spread(500, 1, 320), truncated=20
    )
    assert verdict(claim, cut, fast).verdict == "inconclusive"
    large = home(tmp_path, "large", 12.0, memory=20_000_000_000)
    assert verdict(claim, good, large).verdict == "inconclusive"  # 4 bits might fit


def test_cost_depends_on_the_load(verdict: Callable[..., Judgement], tmp_path: Path) -> None:
    metric = "usd_per_million_output_tokens.rented"
    cheap = make_run(tmp_path, "a", figures={metric: 0.3, "mean_concurrency": 200.0})
    dear = make_run(tmp_path, "b", figures={metric: 80.0, "mean_concurrency": 1.0}, seed=1)
    claim = "open-models-cut-infra-cost"
    assert known(verdict(claim, cheap).measured).verdict == "reproduced"
    assert known(verdict(claim, dear).measured).verdict == "challenged"
    part = make_run(tmp_path, "p", figures={metric: 0.3}, problems=50)
    assert "p: subset: 50 of 500 problems" in verdict(claim, part).caveats
    both = verdict(claim, cheap, dear).measured
    assert (known(both).verdict, known(both).tag) == ("inconclusive", "scope")
    free = make_run(tmp_path, "c")
    assert metric in known(verdict(claim, free).measured).evidence[0].text


def test_a_lower_bound_below_a_price_shows_nothing(
    verdict: Callable[..., Judgement], tmp_path: Path
) -> None:
    """Of an older run, whose cost leaves out what killed sessions used."""
    metric = "usd_per_million_output_tokens.rented"
    for usd, expected in ((0.3, "inconclusive"), (80.0, "challenged")):
        file = make_run(tmp_path, f"run-{usd}", figures={metric: usd})
        result = json.loads(Path(file).read_text())
        result["estimates"] = [e for e in result["estimates"] if e["metric"] != "machine_s"]
        Path(file).write_text(json.dumps(result))
        assert known(verdict("open-models-cut-infra-cost", file).measured).verdict == expected


# --- without runs: arithmetic and documents ---------------------------------------------------

EXPECTED = {
    "reproduced": """
        moe-selects-experts moe-same-quality-less-compute:scope fewer-active-params-cheaper:scope
        mla-less-memory:scope mla-long-context-efficient:scope mla-is-novel:scope
        builds-on-public-research comparable-results-much-cheaper:scope
        nvidia-minus-600bn-one-day-a0 nvidia-fall-historic crash-on-27-jan-2025
        r1-moe-plus-simulated-reasoning r1-open-source-free:scope nasdaq100-minus-3
        tech-stocks-max-minus-10:snapshot nasdaq100-2024-plus-25 h100-export-banned
        h800-throttled-chips-used h800-own-software rasgon-known-technology:scope
        fraction-of-resources:scope extremely-low-prices nvidia-minus-600bn-a2 nvidia-minus-17
        chip-stocks-steep-fall oracle-minus-14 alphabet-minus-4 microsoft-minus-2 softbank-minus-8
        big-tech-minus-1tn nvidia-once-most-valuable nvidia-calls-it-excellent
        nvidia-says-export-compliant:scope
        r1-v3-match-or-beat-western-labs:scope stargate-500bn-recent inference-needs-many-gpus
        r1-public-one-week-before r1-free-licence r1-beats-o1-several:scope
        r1-output-price-2-19-a3 r1-undercuts-openai-95:scope nvidia-minus-several-points
        andreessen-two-phrases meta-worried:scope trained-on-2048-gpus:scope
        fleet-over-50000-gpus:scope cost-5-6m-few-thousand-gpus:scope parity-o1-some-benchmarks
        r1-input-price-0-55:scope r1-output-price-2-19-a4 o1-input-price-15:scope
        o1-output-price-60:scope
    """,
    "challenged": """
        not-a-giant-model:value mla-latent-relations:attribution no-supercomputer-infra:value
        deepseek-own-share-moved-market:attribution r1-scores-match-o1:value
        r1-training-cost-5-6m:attribution gpt4o-training-cost-78m:attribution
        andreessen-most-spectacular:value r1-v3-mit-licence:scope r1-training-cost-5m:attribution
        openai-budget-5bn:attribution nasdaq-minus-1-2tn:attribution
        only-h800-available-in-china:snapshot h800-lower-memory-bandwidth:value
    """,
    "inconclusive": """
        mla-more-stable:attribution developer-teams-shrink:source dev-cost-drastically-lower:scope
        nvidia-minus-7-82:snapshot microsoft-minus-3-75:snapshot broadcom-minus-6-58:snapshot
        trigger-r1-launch:attribution auxfree-balancing-saves-compute:attribution
        frontier-ai-without-billions:scope altmann-on-deepseek-a1:source
        stargate-500bn-direct-answer:attribution amazon-meta-slight-gain:source
        chip-shares-no-quick-recovery:scope amazon-not-big-in-llms:scope trump-on-deepseek:source
        sam-altman-on-deepseek:source
        anyone-can-self-host:scope altmann-on-deepseek-a3:source palihapitiya-on-deepseek:source
        no-frontier-hardware-needed:scope r1-well-optimised:scope us-firms-spend-billions:scope
        prices-from-open-docs:source algorithms-for-memory-bandwidth:attribution
        deepseek-models-open-source:scope deepseek-keeps-silent:source
    """,
    "not_testable": """
        rhetoric-shenzhen engineer-quote-anonymous:source model-of-choice-us-universities
        sputnik-moment-headline:attribution
    """,
    # Expected are challenged, inconclusive, challenged, reproduced, inconclusive: from runs that
    # are not there. What the documents say of them meanwhile is in a column of its own.
    "untested": """
        r1-math500-85 r1-humaneval-92 mtp-fp8-1-8x slimmed-r1-on-home-pc
        open-models-cut-infra-cost
    """,
}


def expected() -> Iterator[tuple[str, tuple[str, str | None]]]:
    for verdict, names in EXPECTED.items():
        for name in names.split():
            claim, _, tag = name.partition(":")
            yield claim, (verdict, tag or None)


@pytest.fixture(scope="module")
def without_runs(ledger: Ledger) -> list[Judgement]:
    return judge_claims(ledger)


def test_the_ledger_without_runs(without_runs: list[Judgement]) -> None:
    found = {each.id: (each.verdict, each.tag) for each in without_runs if each.article}
    assert found == dict(expected())


FORECAST_OTHERWISE = """
    mla-long-context-efficient mla-is-novel broadcom-minus-6-58 microsoft-minus-3-75
    nvidia-minus-7-82 auxfree-balancing-saves-compute tech-stocks-max-minus-10
    nasdaq100-2024-plus-25 rasgon-known-technology andreessen-most-spectacular
    r1-v3-match-or-beat-western-labs big-tech-minus-1tn softbank-minus-8 r1-beats-o1-several
    meta-worried nasdaq-minus-1-2tn fleet-over-50000-gpus cost-5-6m-few-thousand-gpus
    prices-from-open-docs nvidia-says-export-compliant
"""


def test_forecasts_stay_as_they_were_written(without_runs: list[Judgement]) -> None:
    """They were made before the sources were read; where these say otherwise, both are shown."""
    otherwise = {
        each.id
        for each in without_runs
        if each.forecast and each.verdict not in ("untested", each.forecast.verdict)
    }
    assert otherwise == set(FORECAST_OTHERWISE.split())


# --- R5 and R7 --------------------------------------------------------------------------------


def test_every_benchmark_of_known_size_is_tested_in_both_directions(
    without_runs: list[Judgement],
) -> None:
    found = next(each for each in without_runs if each.id == "r1-beats-o1-several")
    rows = {each.text.partition(":")[0]: each for each in known(found.derived).evidence}
    assert len(rows) == 10
    significant = {
        name for name, row in rows.items() if row.p_holm is not None and row.p_holm < 0.05
    }
    assert significant == {"drop", "mmlu", "simpleqa"}
    ahead = {name for name, row in rows.items() if number_of(row, "this") > number_of(row, "other")}
    assert significant & ahead == {"drop"}
    untested = {name for name, row in rows.items() if row.p_holm is None}
    assert untested == {"livecodebench", "codeforces rating"}
    for name in ("drop", "mmlu", "simpleqa"):
        assert name in known(found.derived).reason


def number_of(row: Evidence, name: str) -> float:
    number = row.numbers[name]
    assert isinstance(number, int | float)
    return number


def test_a_p_of_nothing_is_not_taken_for_no_test(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger
) -> None:
    """A tail so far out that it is 0 as a number is as significant as can be."""
    claim = ledger.claims["r1-beats-o1-several"]
    nothing = quantity("r1_against_o1_simpleqa_p_value").model_copy(update={"value": 0.0})
    real = ledger.quantities.quantity
    monkeypatch.setattr(
        ledger.quantities, "quantity", lambda name: nothing if "simpleqa_p" in name else real(name)
    )
    documents.derived_opinion.cache_clear()
    try:
        assert "simpleqa" in known(documents.derived_opinion(claim, ledger.quantities)).reason
    finally:
        documents.derived_opinion.cache_clear()


@pytest.mark.parametrize(
    ("says", "value", "moves", "expected"),
    [
        ("close", 17, {"close": 16.97}, ("reproduced", None)),
        ("close", 8, {"close": 16.97}, ("challenged", "value")),
        ("close", 10, {"close": 16.97, "before_opening": 10.2}, ("challenged", "value")),
        ("no_moment", 17, {"close": 16.97}, ("reproduced", None)),
        ("no_moment", 10, {"close": 16.97, "before_opening": 10.2}, ("reproduced", "snapshot")),
        ("no_moment", 8, {"close": 16.97, "before_opening": 10.2}, ("inconclusive", "snapshot")),
        ("no_moment", 30, {"close": 16.97, "before_opening": 10.2}, ("challenged", "value")),
    ],
)
def test_a_move_is_judged_by_its_moment(
    ledger: Ledger, says: str, value: int, moves: dict[str, float], expected: tuple[str, str | None]
) -> None:
    claim = ledger.claims["oracle-minus-14"]
    figure = known(claim.figure).model_copy(update={"value": value})
    (reference,) = claim.references
    changed = claim.model_copy(
        update={
            "market": MarketMove(says=says),
            "figure": figure,
            "references": tuple(
                reference.model_copy(update={"moment": moment, "value": move})
                for moment, move in moves.items()
            ),
        }
    )
    assert market_verdict(changed)[:2] == expected


def test_a_move_known_from_memory_decides_nothing(ledger: Ledger) -> None:
    claim = ledger.claims["oracle-minus-14"]
    (reference,) = claim.references
    doubtful = claim.model_copy(
        update={"references": (reference, reference.model_copy(update={"grade": "M"}))}
    )
    assert market_verdict(doubtful)[:2] == ("inconclusive", "source")


def test_the_headline_has_all_three_kinds_and_their_figures(without_runs: list[Judgement]) -> None:
    for each in without_runs:
        kinds = [part.partition(":")[0] for part in each.headline.split(" | ")]
        assert kinds == ["measured", "derived", "documentary"], each.id
    found = {each.id: each for each in without_runs}
    maths = found["r1-math500-85"]
    assert (maths.verdict, known(maths.documentary).figure) == ("untested", "97.3 percent")
    assert "97.3" in maths.headline
    assert known(known(found["mtp-fp8-1-8x"].derived).figure) in found["mtp-fp8-1-8x"].headline


def test_untested_does_not_hide_what_is_known(without_runs: list[Judgement]) -> None:
    found = next(each for each in without_runs if each.id == "r1-math500-85")
    assert "documents say: challenged (value), DeepSeek itself reports 97.3" in found.reason
    found = next(each for each in without_runs if each.id == "mtp-fp8-1-8x")
    assert "arithmetic says" in found.reason


def test_untested_names_the_command_and_no_other_does(without_runs: list[Judgement]) -> None:
    for each in without_runs:
        assert (each.decide is not None) == (
            each.measured is not None and "conf/model yet" not in each.reason
        ), each.id


def test_arithmetic_that_holds_for_another_subject_is_a_challenge(
    without_runs: list[Judgement],
) -> None:
    found = next(each for each in without_runs if each.id == "r1-training-cost-5-6m")
    assert (known(found.derived).verdict, known(found.documentary).verdict) == (
        "reproduced",
        "challenged",
    )
    evidence = known(found.derived).evidence[0]
    assert evidence.numbers["value"] == 5_576_000
    assert "2,788,000 GPU-hours x 2 USD/h" in known(evidence.arithmetic)
    assert evidence.sources


def test_what_is_from_memory_is_marked(without_runs: list[Judgement]) -> None:
    marked = {each.id for each in without_runs if each.unverified}
    assert {"amazon-meta-slight-gain", "r1-undercuts-openai-95"} <= marked
    for each in without_runs:
        doubts = sum(evidence.grade == "M" for evidence in each.evidence)
        assert doubts == each.unverified
        assert sum("unverified, from memory" in caveat for caveat in each.caveats) == doubts


@pytest.mark.parametrize(
    ("method", "mine", "documents", "verdict"),
    [
        ("derived", "reproduced", ("challenged", "value"), "challenged"),
        ("derived", "challenged", ("reproduced", None), "inconclusive"),
        ("derived", "reproduced", ("inconclusive", "scope"), "inconclusive"),
        ("measured", "reproduced", ("challenged", "attribution"), "challenged"),
        ("measured", "reproduced", ("challenged", "value"), "reproduced"),
        ("measured", "inconclusive", ("challenged", "value"), "inconclusive"),
        ("measured", "untested", ("challenged", "attribution"), "untested"),
        ("ablation", "challenged", ("reproduced", None), "challenged"),
        ("documentary", "reproduced", ("inconclusive", None), "inconclusive"),
    ],
)
def test_how_columns_make_a_verdict(
    method: Method, mine: str, documents: tuple[str, str | None], verdict: str
) -> None:
    own = Opinion(verdict=mine, reason="mine")
    theirs = Opinion(verdict=documents[0], tag=documents[1], reason="theirs")
    measured = own if method in ("measured", "ablation") else None
    derived = None if measured else own
    assert overall(method, measured, derived, theirs).verdict == verdict


@pytest.mark.parametrize("threshold", [0.05, 0.001, 0.3])
def test_p_is_the_level_at_which_an_interval_begins_to_exclude(threshold: float) -> None:
    assert challenge_p(lambda confidence: confidence < 1 - threshold) == pytest.approx(threshold)


def test_p_has_ends() -> None:
    assert challenge_p(lambda _: True) == LEAST_P
    assert challenge_p(lambda _: False) == 1.0


# --- the command ------------------------------------------------------------------------------


def harness(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["claims", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_json_is_a_list_of_objects(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = harness(capsys, "--json", str(BASELINE))
    assert (status, err) == (0, "")
    found = json.loads(out)
    claims = [each for each in found if each["article"]]
    assert len(claims) == len(dict(expected()))
    assert all({"id", "headline", "author", "file"} <= each["article"].keys() for each in claims)
    assert all("documentary" in each["headline"] for each in found)
    for each in found:
        assert {"id", "article", "verdict", "tag", "method", "evidence", "caveats"} <= each.keys()
        assert each["verdict"] in DECISIONS
        assert each["evidence"] or each["article"] is None


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        (
            ["--article", "A1", "--category", "training_cost", "--verdict", "challenged"],
            ["gpt4o-training-cost-78m", "r1-training-cost-5-6m"],
        ),
        (["--article", "004_448969e6d56a989c.txt", "--category", "home_pc"], []),
        (["--article", "Michael Stöckler", "--category", "home_pc"], []),
        (
            ["--article", "deepseek: chinas sputnik-moment", "--category", "home_pc"],
            ["anyone-can-self-host", "slimmed-r1-on-home-pc"],
        ),
        (["--id", "mla-is-novel", "--id", "nvidia-minus-17"], ["mla-is-novel", "nvidia-minus-17"]),
    ],
)
def test_filters(capsys: pytest.CaptureFixture[str], arguments: list[str], ids: list[str]) -> None:
    _, out, _ = harness(capsys, "--json", *arguments)
    assert [each["id"] for each in json.loads(out)] == ids


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["--article", "A7"], "--article A7: … A0 “DeepSeek aus China"),
        (["--category", "sport"], "--category sport: … benchmark_accuracy"),
        (["--verdict", "wrong"], "--verdict wrong: … reproduced, challenged"),
        (["--id", "mla-is-nuvel"], "--id mla-is-nuvel: … mla-is-novel?"),
        (["/"], "harness: /: … manifest.json"),
        (["nope"], "harness: nope: … manifest.json"),
        ([str(REPOSITORY / "README.md")], "README.md: … RunResult"),
        (
            [str(BASELINE), str(BASELINE)],
            "20261121T230414Z_smollm2-135m_vllm_839e37: … twice",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], facts: str
) -> None:
    status, out, err = harness(capsys, *arguments)
    assert (status, out) == (2, "")
    assert mentions(err, facts)
    assert err.count("\n") == 1


def test_a_ledger_with_an_unknown_task_is_one_line_and_exit_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Through the whole command, with a ledger of its own."""
    copy = tmp_path / default_study().name
    shutil.copytree(default_study(), copy)
    file = copy / "claim" / "r1-math500-85.yaml"
    file.write_text(file.read_text().replace("task: math500", "task: math600"))
    status, out, err = harness(capsys, "--study", str(copy))
    assert (status, out) == (2, "")
    assert "claim/r1-math500-85.yaml: measured.task=math600: " in err
    assert err.count("\n") == 1


def test_another_harness_s_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text('{"doc_id": 0, "target": "x"}\n')
    with pytest.raises(UserError, match=r"samples\.jsonl: .*lm-evaluation-harness"):
        read_runs([str(file)], tmp_path)


def test_a_damaged_result_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text('{"schema_version": 1}')
    with pytest.raises(StoreError, match=r"result\.json: .*RunResult"):
        read_runs([str(file)], tmp_path)


def test_the_table_has_a_column_for_each_kind_of_evidence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = harness(capsys, "--article", "A1")
    header = next(line for line in out.splitlines() if line.startswith("claim"))
    assert header.split() == ["claim", "measured", "derived", "documentary", "verdict"]
    assert "harness run experiment=r1_math500_85" in out
    assert "unverified" in out
    assert max(len(line) for line in out.splitlines()) <= 100


def test_published_scores_have_a_table_of_their_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = make_run(tmp_path, "a\x1b[31m", solved=spread(500, 4, 1856))
    _, out, _ = harness(capsys, file, "--all")
    row = next(line for line in out.splitlines() if PUBLISHED_7B.partition("/")[2] in line)
    assert row.split()[-3:] == ["92.8", "percent", "reproduced"]
    assert "101 claims: " in out
    assert "35 published scores: " in out
    _, out, _ = harness(capsys, file, "--id", "r1-math500-85")
    assert "\x1b" not in out  # a run's name is anybody's
    assert "a\\x1b[31m" in out


def test_one_claim_is_shown_with_its_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = harness(capsys, "--id", "r1-undercuts-openai-95")
    for words in ("96.35", "unverified", "derived", "forecast", "grade", "line 22 of"):
        assert words in out


def test_markdown_escapes_and_shows_all_columns(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = harness(capsys, "--markdown", "--article", "A4")
    assert out.startswith("## A4 “Der Aufstieg von Deepseek")
    assert "Michael Stöckler" in out.splitlines()[0]
    table = [line for line in out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 16
    assert {line.count(" | ") for line in table} == {6}
