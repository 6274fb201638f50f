"""Which requests a shard has, and how shards become one run again, or why they do not."""

import json
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.engines.replay_engine import ReplayConfig
from harness.engines.transformers_engine import TransformersConfig
from harness.engines.vllm_args import replica_size, world_size
from harness.engines.vllm_engine import VllmConfig
from harness.engines.vllm_server_engine import VllmServerConfig
from harness.errors import ConfigError, NotComparableError, StoreError, UnavailableError
from harness.machine import hardware
from harness.records import Record, RequestId
from harness.runner.build_result import build_result
from harness.runner.decisions import find_unfinished
from harness.runner.merge import SCRATCH, merge_runs
from harness.runner.shards import asked_ids, count_own, of_shard, read_shards
from harness.runner.workers import share_out
from harness.store.fingerprint import fingerprint
from harness.store.manifest import LostLoad
from harness.store.result import RunResult, load
from harness.store.run_files import Run, create_run
from tests.conf.test_compose import compose
from tests.facts import known, mentions

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"
IDS = [
    RequestId(f"math500/test/algebra/{number}.json#{sample}")
    for number in range(50)
    for sample in (0, 1)
]


# --- which requests ---------------------------------------------------------------------------


def test_every_request_is_in_one_shard_and_all_shards_have_one_size() -> None:
    config = compose("experiment=demo", "shards=8")
    parts = [of_shard(IDS, config.model_copy(update={"shard": each})) for each in range(8)]
    assert sorted(request for part in parts for request in part) == sorted(IDS)
    assert {len(part) for part in parts} == {12, 13}


def test_the_size_of_a_shard_is_known_before_its_requests_are() -> None:
    config = compose("experiment=demo", "shards=8")
    counts = {"math500": len(IDS)}
    assert count_own(counts, config) == counts
    for number in range(8):
        shard = config.model_copy(update={"shard": number})
        assert count_own(counts, shard) == {"math500": len(of_shard(IDS, shard))}
        two = count_own({"math500": 80, "humaneval": 20}, shard)
        assert two == {"math500": 10, "humaneval": pytest.approx(2.5, abs=0.5)}


def test_a_shard_depends_on_the_ids_alone() -> None:
    """These few were worked out with sha256sum and sort; another order would split a run in two."""
    config = compose("experiment=demo", "shards=2", "shard=1")
    names = [RequestId(f"humaneval/HumanEval/{number}#0") for number in range(4)]
    assert of_shard(names, config) == of_shard(reversed(names), config)
    assert of_shard(names, config) == {"humaneval/HumanEval/2#0", "humaneval/HumanEval/3#0"}


def test_a_whole_run_asks_every_sample_of_every_problem() -> None:
    config = compose("model=r1_distill_qwen_1_5b", "protocol.samples_per_problem=2")
    assert asked_ids(["a/1", "a/2"], config) == {"a/1#0", "a/1#1", "a/2#0", "a/2#1"}


def test_a_shard_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"shard=8: with shards=8 should be 0 to 7"):
        compose("shards=8", "shard=8")


# --- one run again ----------------------------------------------------------------------------


@dataclass
class Parts:
    """Shards of the golden run, each in a folder of its own."""

    results: Path

    def make(self, shard: int, shards: int = 2) -> Run:
        """A complete one; its clock is the golden run's, as if each worker had begun at 0."""
        whole = Run(GOLDEN)
        run = create_run(self.results, "smollm2_135m", "transformers")
        for name in ("problems", "prompts"):
            shutil.copyfile(GOLDEN / f"{name}.jsonl", run.folder / f"{name}.jsonl")
        manifest = whole.read_manifest()
        config = manifest.config.model_copy(update={"shards": shards, "shard": shard})
        mine = asked_ids(whole.read_prompts(), config)
        verdicts = whole.read_verdicts()
        with run:
            for completion in whole.read_completions():
                if completion.request_id in mine:
                    run.completions.append(completion)
                    run.verdicts.append(verdicts[completion.request_id])
        fields = {
            task: {**each, "shard": f"{shard} of {shards}"}
            for task, each in manifest.protocol_fields.items()
        }
        run.write_manifest(
            manifest.model_copy(
                update={
                    "run_id": run.run_id,
                    "config": config,
                    "protocol_fields": fields,
                    "protocol_fingerprints": {name: fingerprint(f) for name, f in fields.items()},
                }
            )
        )
        return run


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def change(run: Run, **update: object) -> None:
    run.write_manifest(run.read_manifest().model_copy(update=update))


def merged(runs: list[Run], results: Path) -> RunResult:
    return load(merge_runs(runs, results).folder)


def value(result: RunResult, metric: str, task: str | None = None) -> float:
    return next(known(e.value) for e in result.estimates if (e.metric, e.task) == (metric, task))


def test_merged_shards_are_the_run_that_they_are_parts_of(parts: Parts) -> None:
    one, other = parts.make(0), parts.make(1)
    whole = build_result(Run(GOLDEN), Run(GOLDEN).read_manifest())
    result = merged([other, one], parts.results)
    assert result.manifest.merged_from == (one.run_id, other.run_id)
    assert (result.manifest.config.shards, result.manifest.config.shard) == (1, None)
    assert result.manifest.protocol_fields == whole.manifest.protocol_fields
    assert result.manifest.protocol_fingerprints == whole.manifest.protocol_fingerprints
    said = {outcome.request_id: (outcome.status, outcome.extracted) for outcome in result.outcomes}
    assert said == {each.request_id: (each.status, each.extracted) for each in whole.outcomes}
    scores = [e for e in whole.estimates if e.metric.startswith(("accuracy", "completion_tokens"))]
    assert scores
    assert all(score in result.estimates for score in scores)


def test_the_clock_of_a_merged_run_is_the_machine_time_of_all_workers(parts: Parts) -> None:
    runs = [parts.make(0), parts.make(1)]
    apart = [build_result(run, run.read_manifest()) for run in runs]
    result = merged(runs, parts.results)
    assert len(result.manifest.sessions) == sum(len(each.manifest.sessions) for each in apart)
    for metric in ("generation_s", "cost.rented", "load_s"):
        together = sum(value(each, metric) for each in apart)
        assert value(result, metric) == pytest.approx(together, rel=1e-9)
    tokens = sum(value(each, "completion_tokens.total") for each in apart)
    rate = tokens / sum(value(each, "generation_s") for each in apart)
    assert value(result, "output_tokens_per_s") == pytest.approx(rate, rel=1e-9)
    methods = {e.metric: e.method for e in result.estimates if e.task is None}
    assert methods["generation_s"].endswith(" 2 workers")
    assert methods["output_tokens_per_s"].endswith(" 1 of 2 workers")
    starts = [session.clock_start_s for session in result.manifest.sessions]
    assert starts == sorted(starts)


def test_what_a_killed_session_of_one_worker_used_is_in_the_whole_run(parts: Parts) -> None:
    runs = [parts.make(0), parts.make(1)]
    *earlier, last = runs[0].read_manifest().sessions
    end_s = last.clock_start_s + 5000.0
    lost = LostLoad(
        started_at=last.started_at, opened_s=end_s, clock_end_s=end_s + 60, is_end_known=False
    )
    killed = last.model_copy(update={"clock_end_s": end_s, "is_end_known": False})
    change(runs[0], sessions=(*earlier, killed), lost_loads=(lost,))
    apart = [build_result(run, run.read_manifest()) for run in runs]
    result = merged(runs, parts.results)
    for metric in ("machine_s", "cost.rented", "load_cost.rented"):
        together = sum(value(each, metric) for each in apart)
        assert value(result, metric) == pytest.approx(together, rel=1e-9)
    assert value(apart[0], "machine_s") >= 5000.0
    (moved,) = result.manifest.lost_loads
    others = [each.clock_start_s for each in result.manifest.sessions][len(earlier) + 1 :]
    assert all(start >= moved.clock_end_s for start in others), "two workers lie on one another"


def test_merging_again_makes_the_same_figures_and_leaves_the_shards_as_they_are(
    parts: Parts,
) -> None:
    runs = [parts.make(0), parts.make(1)]
    before = {file: file.read_bytes() for run in runs for file in run.folder.glob("*.json*")}
    one, again = merged(runs, parts.results), merged(runs, parts.results)
    assert one.estimates == again.estimates
    assert one.outcomes == again.outcomes
    assert before == {file: file.read_bytes() for file in before}
    assert not list((parts.results / SCRATCH / "runs").iterdir())


def test_a_merge_that_is_stopped_leaves_no_run(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [parts.make(0), parts.make(1)]

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.runner.merge.write_result", stop)
    with pytest.raises(KeyboardInterrupt):
        merge_runs(runs, parts.results)
    assert {each.name for each in (parts.results / "runs").iterdir()} == {r.run_id for r in runs}


def test_what_a_killed_merge_left_goes_with_the_next(parts: Parts) -> None:
    left = create_run(parts.results / SCRATCH, "x", "y")
    merge_runs([parts.make(0), parts.make(1)], parts.results)
    assert not left.folder.exists()


def test_energy_of_a_processor_that_workers_shared_is_unknown(parts: Parts) -> None:
    """Each counter counted what both used."""
    runs = [parts.make(0), parts.make(1)]
    for run in runs:
        sessions = [
            session.model_copy(update={"energy_joules": 5.0, "energy_source": "RAPL, package 0"})
            for session in run.read_manifest().sessions
        ]
        change(run, sessions=tuple(sessions))
    result = merged(runs, parts.results)
    assert result.manifest.energy.joules is None
    assert mentions(result.manifest.energy.source, "workers", "processor")
    elsewhere = [
        session.model_copy(
            update={"provenance": session.provenance.model_copy(update={"host": "other"})}
        )
        for session in runs[1].read_manifest().sessions
    ]
    change(runs[1], sessions=tuple(elsewhere))
    joules = sum(5.0 for run in runs for _ in run.read_manifest().sessions)
    assert merged(runs, parts.results).manifest.energy.joules == joules


def test_a_worker_that_looks_for_its_run_leaves_those_of_others_alone(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking takes the lock for a moment, and all workers look at the same moment."""
    looked = []
    whole = Run.is_being_written

    def noted(run: Run) -> bool:
        looked.append(run.run_id)
        return whole(run)

    monkeypatch.setattr(Run, "is_being_written", noted)
    mine, other = parts.make(0), parts.make(1)
    for run in (mine, other):
        change(run, status="interrupted")
    config = mine.read_manifest().config.model_copy(update={"resume": "auto"})
    assert known(find_unfinished(config, parts.results)).run_id == mine.run_id
    with mine:  # somebody goes on with it already
        assert find_unfinished(config, parts.results) is None
    assert looked == [mine.run_id] * 2


# --- why they do not --------------------------------------------------------------------------


def refusal(runs: list[Run], kind: type[Exception] = StoreError) -> str:
    with pytest.raises(kind) as caught:
        read_shards(runs)
    assert type(caught.value) is kind
    return str(caught.value)


def test_a_missing_a_doubled_and_an_unfinished_shard_are_named(parts: Parts) -> None:
    one, twin, last = parts.make(0, 4), parts.make(0, 4), parts.make(3, 4)
    assert refusal([one, last]).startswith("shards 1, 2 of 4 ")
    said = refusal([one, last, twin])
    assert mentions(said, "shard 0 of 4", "twice")
    assert one.run_id in said
    assert twin.run_id in said
    assert mentions(refusal([one, one]), "shard 0 of 4", "twice")
    pair = [parts.make(0), parts.make(1)]
    change(pair[1], status="interrupted")
    assert mentions(
        refusal(pair),
        f"shard 1 of 2 ({pair[1].folder})",
        f"interrupted; harness run resume={pair[1].folder} ",
    )
    assert mentions(refusal(pair[:1]), "shard 1 of 2", "missing")


def test_a_whole_run_is_no_shard(parts: Parts) -> None:
    run = parts.make(0)
    change(run, config=run.read_manifest().config.model_copy(update={"shards": 1, "shard": None}))
    assert mentions(refusal([run]), run.run_id, "whole run")


def test_shards_of_two_runs_are_not_comparable_and_the_difference_is_named(parts: Parts) -> None:
    def other(**update: object) -> str:
        pair = [parts.make(0), parts.make(1)]
        change(pair[1], **update)
        said = refusal(pair, NotComparableError)
        return known(re.search(r" ((?:[\w.]+, )*[\w.]+)$", said))[1]

    manifest = parts.make(1).read_manifest()

    def with_config(**update: object) -> Record:
        return manifest.config.model_copy(update=update)

    engine = manifest.sessions[-1].engine.model_copy(update={"device_name": "another"})
    session = manifest.sessions[-1].model_copy(update={"engine": engine})
    assert other(config=with_config(seed=1)) == "seed"
    assert other(model=manifest.model.model_copy(update={"sha256": "0" * 64})) == "model.sha256"
    assert other(scorer_context={}) == "scorers"
    assert other(sessions=(session,)) == "engine.device_name"
    three = [parts.make(0, 2), parts.make(1, 3)]
    assert refusal(three, NotComparableError).endswith(" shards")
    pair = [parts.make(0), parts.make(1)]
    prompts = pair[1].folder / "prompts.jsonl"
    prompts.write_text(prompts.read_text().replace("user", "User", 1))
    assert refusal(pair, NotComparableError).endswith(" prompts.jsonl")


@pytest.mark.parametrize("name", ["completions", "verdicts"])
def test_a_request_without_an_answer_or_a_verdict_is_named(parts: Parts, name: str) -> None:
    pair = [parts.make(0), parts.make(1)]
    file = pair[1].folder / f"{name}.jsonl"
    first, *others = file.read_text().splitlines(keepends=True)
    file.write_text("".join(others))
    lost = json.loads(first)["request_id"]
    assert f"{name}.jsonl lacks 1 of 20 requests, {lost} among them" in refusal(pair)


def test_a_request_of_another_shard_is_named(parts: Parts) -> None:
    pair = [parts.make(0), parts.make(1)]
    file = pair[1].folder / "completions.jsonl"
    stray = (pair[0].folder / "completions.jsonl").read_text().splitlines(keepends=True)[0]
    file.write_text(file.read_text() + stray)
    name = json.loads(stray)["request_id"]
    assert mentions(refusal(pair), "completions.jsonl", name)


def test_merging_needs_no_more_memory_for_longer_answers(parts: Parts) -> None:
    """Three megabytes in each of 20 answers, on the disk and never all in memory."""
    import tracemalloc

    pair = [parts.make(0), parts.make(1)]
    long = [
        each.model_copy(update={"text": "x" * 3_000_000}) for each in pair[0].read_completions()
    ]
    (pair[0].folder / "completions.jsonl").unlink()
    with pair[0]:
        for completion in long:
            pair[0].completions.append(completion)
    del long
    shards = read_shards(pair)
    tracemalloc.start()
    from harness.runner.shards import copy_into

    with create_run(parts.results, "m", "e") as run:
        copy_into(run, shards)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (run.folder / "completions.jsonl").stat().st_size > 60_000_000
    assert peak < 30_000_000


# --- what of a machine is a worker's ----------------------------------------------------------


def machine(
    monkeypatch: pytest.MonkeyPatch, *, gpus: int, cores: int, visible: str | None = None
) -> None:
    monkeypatch.setattr(hardware, "cuda_devices", lambda: gpus)
    monkeypatch.setattr(hardware, "usable_cores", lambda: tuple(range(cores)))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


def test_gpus_are_divided_by_what_each_worker_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, gpus=4, cores=9, visible="3,5,6,7")
    engine = VllmConfig(kind="vllm", args={"tensor_parallel_size": 2})
    shares = share_out(engine, 2)
    assert [share.gpus for share in shares] == [("3", "5"), ("6", "7")]
    assert [share.cores for share in shares] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert [s.gpus for s in share_out(TransformersConfig(kind="transformers"), 2)] == [
        ("3",),
        ("5",),
    ]
    with pytest.raises(
        UnavailableError,
        match=r"shards=3: .* 2 GPUs .*6 GPUs, .*4",
    ):
        share_out(engine, 3)


def test_cores_are_divided_evenly_and_one_is_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """An uneven share would be another device, and the shards could not be merged."""
    machine(monkeypatch, gpus=0, cores=5)
    engine = TransformersConfig(kind="transformers")
    assert [share.cores for share in share_out(engine, 2)] == [(0, 1), (2, 3)]
    assert [share.gpus for share in share_out(engine, 2)] == [None, None]
    with pytest.raises(UnavailableError, match=r"shards=6: .*5 CPU core"):
        share_out(engine, 6)
    replay = share_out(ReplayConfig(kind="replay", run="r"), 6)
    assert [share.cores for share in replay] == [None] * 6


def test_vllm_sizes_are_multiplied() -> None:
    args = {"tensor_parallel_size": 4, "data_parallel_size": 2}
    assert world_size({}) == 1
    assert replica_size(args) == 4
    assert world_size(args) == 8
    assert world_size({**args, "pipeline_parallel_size": 3}) == 24
    with pytest.raises(ConfigError, match=r"engine\.args\.data_parallel_size=two: "):
        world_size({"data_parallel_size": "two"})


def test_too_few_gpus_for_vllms_sizes_are_known_before_it_starts() -> None:
    args = {"tensor_parallel_size": 4, "data_parallel_size": 2}
    for engine in (
        VllmConfig(kind="vllm", args=args),
        VllmServerConfig(kind="vllm_server", args=args),
    ):
        with pytest.raises(UnavailableError) as caught:
            engine.check_devices(4)
        assert mentions(
            str(caught.value),
            "engine.args.tensor_parallel_size=4 x engine.args.data_parallel_size=2: ",
            *("8 GPUs", "4"),
        )
        engine.check_devices(8)
        engine.check_devices(0)
    over_ray = VllmConfig(kind="vllm", args={**args, "distributed_executor_backend": "ray"})
    over_ray.check_devices(4)


def test_merging_says_what_it_merges(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    runs = [parts.make(0), parts.make(1)]
    with caplog.at_level(logging.INFO, logger="harness"):
        merge_runs(runs, parts.results)
    assert f"merging 2 shards: {runs[0].run_id}, {runs[1].run_id}" in caplog.text


def test_shards_of_two_engine_versions_are_merged_with_a_warning(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    runs = [parts.make(0), parts.make(1)]
    session = runs[1].read_manifest().sessions[-1]
    engine = session.engine.model_copy(update={"version": "another"})
    change(runs[1], sessions=(session.model_copy(update={"engine": engine}),))
    with caplog.at_level(logging.WARNING, logger="harness"):
        merge_runs(runs, parts.results)
    assert f"shard 1 of 2 ({runs[1].shown}) with another" in caplog.text
