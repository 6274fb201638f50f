"""A run goes on under a changed configuration, if no answer depends on the change."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.config.changes import config_changes, deciding
from harness.config.settings import RunConfig
from harness.engines.identity import unlike
from harness.engines.transformers_engine import TransformersConfig
from harness.errors import ConfigError, StoreError
from harness.runner.build_result import build_result
from harness.runner.decisions import find_unfinished
from harness.runner.prepare_resume import prepare_resume
from harness.runner.sweep import use_recorded_config, with_models
from harness.store.manifest import RunManifest
from harness.store.run_files import Run
from tests.conf.test_compose import compose
from tests.facts import known, narrowed

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "runs" / "smollm2_demo"
SERVER = ("engine=openai", "engine.base_url=http://old:8000/v1", "protocol=greedy")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that was stopped before its last answer."""
    folder = tmp_path / "runs" / "stopped"
    shutil.copytree(GOLDEN, folder)
    edit(Run(folder), run_id="stopped", status="interrupted", finished_at=None)
    return Run(folder)


def edit(run: Run, **changes: object) -> None:
    run.write_manifest(run.read_manifest().model_copy(update=changes))


def given_if_recorded(run: Run, *overrides: str) -> RunConfig | None:
    return use_recorded_config(
        [f"resume={run.run_id}", f"results_dir={run.folder.parents[1]}", *overrides]
    )


def given(run: Run, *overrides: str) -> RunConfig:
    return known(given_if_recorded(run, *overrides))


@pytest.mark.parametrize(
    ("overrides", "key", "was", "now"),
    [
        (["engine.base_url=http://new:9000/v1"], "engine.base_url", "http://old:8000/v1", None),
        (["engine.concurrency=4"], "engine.concurrency", 32, 4),
        (["engine.max_retries=9"], "engine.max_retries", 7, 9),
        (["engine.silence_limit_s=60"], "engine.silence_limit_s", 1800.0, 60.0),
        (["limits.max_error_fraction=0.5"], "limits.max_error_fraction", 0.02, 0.5),
        (["scoring.workers=1"], "scoring.workers", None, 1),
        (["sandbox.time_limit_s=20"], "sandbox.time_limit_s", 10.0, 20.0),
        (["pricing=h100"], "pricing", "auto", "h100"),
        (["data_dir=/mirror"], "data_dir", None, "/mirror"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_changes_no_answer_may_change(
    overrides: list[str], key: str, was: str | float | None, now: float | str | None
) -> None:
    changes = config_changes(compose(*SERVER), compose(*SERVER, *overrides))
    assert deciding(changes) == []
    assert [(change.key, change.was) for change in changes] == [(key, was)]
    assert now is None or changes[0].now == now


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["seed=1"], "seed"),
        (["tasks=[math_mini]"], "tasks"),
        (["protocol.max_new_tokens=50"], "protocol.max_new_tokens"),
        (["protocol=deepseek_r1", "engine.mode=tokens"], "protocol"),
        (["model=r1_distill_qwen_7b"], "model"),
        (["+engine.extra_body.top_a=0.1"], "engine.extra_body.top_a"),
        (["engine=transformers"], "engine"),
        (["shards=2", "shard=0"], "shard"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_decides_answers_may_not(overrides: list[str], key: str) -> None:
    # another engine has other keys than the server's
    base = [each for each in SERVER if "engine=openai" not in overrides]
    if "engine=transformers" in overrides:
        now = compose("engine=transformers", "protocol=greedy")
    else:
        now = compose(*base, *overrides)
    refused = deciding(config_changes(compose(*SERVER), now))
    assert key in [change.key for change in refused]
    # a group that was chosen is one change, however many keys it holds
    assert not [each.key for each in refused if each.key.startswith(f"{key}.")]


def test_batch_and_cache_sizes_may_change_and_types_of_the_cache_may_not() -> None:
    was = compose("engine=vllm")
    free = ("gpu_memory_utilization=0.5", "max_num_seqs=8", "max_num_batched_tokens=2048")
    now = compose("engine=vllm", *(f"+engine.args.{each}" for each in free))
    assert deciding(config_changes(was, now)) == []
    assert len(config_changes(was, now)) == len(free)
    other = compose("engine=vllm", "+engine.args.kv_cache_dtype=fp8")
    (refused,) = deciding(config_changes(was, other))
    assert str(refused) == "engine.args.kv_cache_dtype: was null, is fp8"


def test_engines_that_differ_in_the_same_sizes_are_the_same_engine() -> None:
    engine = Run(GOLDEN).read_manifest().engine
    sizes = {"gpu_memory_utilization": 0.9, "max_num_seqs": 256, "max_num_batched_tokens": 8192}
    one = known(engine).model_copy(update={"settings": {**sizes, "kv_cache_dtype": "auto"}})
    smaller = dict.fromkeys(sizes, 1)
    other = known(engine).model_copy(update={"settings": {**smaller, "kv_cache_dtype": "auto"}})
    assert {each.name for each in unlike(one, other)} == {f"settings.{name}" for name in sizes}
    assert all(each.is_speed_alone for each in unlike(one, other))
    other = known(engine).model_copy(update={"settings": {**sizes, "kv_cache_dtype": "fp8"}})
    (refused,) = unlike(one, other)
    assert refused.name == "settings.kv_cache_dtype"
    assert not refused.is_speed_alone


# --- the command -------------------------------------------------------------------------------


def test_resume_alone_is_the_recorded_configuration(run: Run) -> None:
    recorded = run.read_manifest().config
    assert config_changes(recorded, given(run)) != []  # resume, results_dir
    assert deciding(config_changes(recorded, given(run))) == []


def test_one_changed_key_is_one_difference(run: Run) -> None:
    """All other keys hold what was recorded and not the defaults of ``conf/``."""
    config = given(run, "protocol.max_new_tokens=50")
    (refused,) = deciding(config_changes(run.read_manifest().config, config))
    assert str(refused) == "protocol.max_new_tokens: was 400, is 50"
    with pytest.raises(ConfigError) as caught:
        find_unfinished(config, run.folder.parents[1])
    assert str(refused) in str(caught.value)
    assert str(caught.value).count(": was ") == 1


def test_a_group_is_one_difference_too(run: Run) -> None:
    config = given(run, "model=r1_distill_qwen_1_5b")
    refused = deciding(config_changes(run.read_manifest().config, config))
    assert list(map(str, refused)) == ["model: was smollm2_135m, is r1_distill_qwen_1_5b"]


@pytest.mark.parametrize(
    ("model", "described"),
    [
        ("/models/mine", {"kind": "local", "path": "/models/mine"}),
        ("some/model@abc", {"kind": "hub", "hub_id": "some/model", "revision": "abc"}),
    ],
)
def test_a_model_by_its_path_or_id_is_one_of_the_choices(
    run: Run, tmp_path: Path, model: str, described: dict[str, str]
) -> None:
    where = [f"resume={run.run_id}", f"results_dir={run.folder.parents[1]}"]
    config = use_recorded_config(with_models([*where, f"model={model}"], tmp_path), tmp_path)
    assert known(config).model.model_dump().items() >= described.items()
    refused = deciding(config_changes(run.read_manifest().config, known(config)))
    assert {change.key.partition(".")[0] for change in refused} == {"model"}


@pytest.mark.parametrize("options", [[], ["-m"], ["hydra.mode=MULTIRUN"]], ids=str)
def test_the_whole_command_finds_such_a_choice(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    options: list[str],
) -> None:
    places = [f"resume={run.run_id}", f"results_dir={run.folder.parents[1]}"]
    missing = run.folder / "no-model"
    assert main(["run", "--dry-run", *options, *places, f"model={missing}"]) == 2
    assert f"model.path={missing}: " in capsys.readouterr().err + caplog.text


@pytest.mark.parametrize("override", ["hydra.job.chdir=false", "hydra/launcher=basic"])
def test_what_is_hydras_own_is_no_part_of_the_configuration(run: Run, override: str) -> None:
    assert given(run, override) == given(run)


def test_the_command_that_began_it_goes_on_with_it(run: Run) -> None:
    config = given(
        run,
        "engine=transformers",
        "model=smollm2_135m",
        "protocol=greedy",
        "tasks=[humaneval:20,math_mini:20]",
        "engine.max_batch_size=4",
    )
    changes = config_changes(run.read_manifest().config, config)
    assert deciding(changes) == []
    assert "engine.max_batch_size" in [change.key for change in changes]
    assert known(find_unfinished(config, run.folder.parents[1])).run_id == run.run_id


@pytest.mark.parametrize(
    "overrides",
    [["experiment=demo"], ["suite=quick"], ["engine.max_batch_size=1,2"], ["~tracker"]],
    ids=str,
)
def test_what_hydra_alone_can_compose_is_left_to_it(run: Run, overrides: list[str]) -> None:
    assert given_if_recorded(run, *overrides) is None


def test_only_a_run_by_name_has_a_recorded_configuration(run: Run) -> None:
    assert use_recorded_config(["seed=1"]) is None
    assert use_recorded_config(["resume=auto", "seed=1"]) is None


@pytest.mark.parametrize(
    ("overrides", "kind", "named"),
    [
        (["model=nothing"], ConfigError, "model=nothing"),
        (["engine.max_batchsize=3"], ConfigError, "engine.max_batchsize"),
        (["engine.max_batch_size=0"], ConfigError, "engine.max_batch_size=0"),
        (["seed=[1"], ConfigError, "seed=[1"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(
    run: Run, overrides: list[str], kind: type[Exception], named: str
) -> None:
    with pytest.raises(kind) as caught:
        given(run, *overrides)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"^resume=nowhere: "):
        use_recorded_config(["resume=nowhere", f"results_dir={tmp_path}"])


# --- what is on record --------------------------------------------------------------------------


def test_what_changed_is_on_record_with_the_sessions_before(run: Run) -> None:
    before = run.read_manifest()
    with ExitStack() as stack:
        config = given(run, "engine.max_batch_size=4", "limits.max_error_fraction=0.5")
        after = prepare_resume(run, config, None, stack).manifest
    assert [(c.key, c.was, c.now, c.sessions_before) for c in after.config_changes] == [
        ("engine.max_batch_size", 32, 4, len(before.sessions)),
        ("limits.max_error_fraction", 0.02, 0.5, len(before.sessions)),
    ]
    assert narrowed(TransformersConfig, after.config.engine).max_batch_size == 4
    assert after.config.results_dir == before.config.results_dir
    assert after.config.resume is None
    assert Run(run.folder).read_manifest() == after
    assert after.protocol_fingerprints.keys() == before.protocol_fingerprints.keys()


def test_a_run_that_goes_on_unchanged_records_nothing(run: Run) -> None:
    with ExitStack() as stack:
        assert prepare_resume(run, given(run), None, stack).manifest.config_changes == ()


def test_a_changed_engine_is_said_of_the_speed_and_of_nothing_else(run: Run) -> None:
    with ExitStack() as stack:
        changed = prepare_resume(run, given(run, "engine.max_batch_size=4"), None, stack).manifest
    words = "engine.max_batch_size"
    said = {each.metric for each in build_result(run, changed).estimates if words in each.method}
    assert {"output_tokens_per_s", "generation_s", "request_latency_s.p50"} <= said
    assert said.isdisjoint({"accuracy", "completion_tokens.mean", "peak_memory_bytes"})


def test_places_are_unknown_where_sessions_differ_in_them() -> None:
    manifest = Run(GOLDEN).read_manifest()
    session = manifest.sessions[0]
    places = [
        session.model_copy(
            update={"engine": session.engine.model_copy(update={"max_concurrency": count})}
        )
        for count in (32, 4)
    ]
    same = manifest.model_copy(update={"sessions": (places[0], places[0])})
    assert known(same.engine).max_concurrency == 32
    assert (
        known(manifest.model_copy(update={"sessions": tuple(places)}).engine).max_concurrency
        is None
    )


def test_an_older_manifest_has_no_changes() -> None:
    text = (GOLDEN / "manifest.json").read_text(encoding="utf-8")
    assert "config_changes" not in json.loads(text)
    assert RunManifest.model_validate_json(text).config_changes == ()
