"""What only the transformers engine can do wrong: memory, refilling, loading."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from harness.engines import batch
from harness.engines.batch import Batch, Row
from harness.engines.kv_cache import gather
from harness.engines.transformers_engine import TransformersConfig, TransformersEngine
from harness.errors import ConfigError, UnavailableError
from harness.models import ResolvedModel
from harness.models.chat_tokenizer import Codec
from harness.records import Completion, GenerationRequest, RequestId, Sampling
from tests.facts import known, narrowed
from tests.unit.tiny_model import save_tiny

pytestmark = pytest.mark.filterwarnings("ignore")


SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 1024,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "initializer_range": 0.5,
    "max_position_embeddings": 4096,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    """Two layers, a hundred words, and caches large enough to run out of memory with."""
    return saved(tmp_path_factory.mktemp("words"), SHAPE)


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> ResolvedModel:
    """One that needs 0.27 GB to read 4,080 tokens, and next to nothing to read 20."""
    return saved(tmp_path_factory.mktemp("wide"), {**SHAPE, "intermediate_size": 8192})


def saved(folder: Path, shape: dict[str, Any]) -> ResolvedModel:
    save_tiny(folder, shape)
    return ResolvedModel(name="words", path=str(folder), revision=None, sha256=None)


def request(number: int, prompt_tokens: int, new: int, temperature: float = 0) -> GenerationRequest:
    return GenerationRequest(
        request_id=f"t/p{number}#0",
        problem_id=f"t/p{number}",
        prompt_token_ids=tuple(3 + (number + 7 * place) % 97 for place in range(prompt_tokens)),
        prompt_opened_think=False,
        sampling=Sampling(temperature=temperature, top_p=0.9, top_k=None, max_new_tokens=new),
        seed=number,
    )


def engine(model: ResolvedModel, **knobs: Any) -> TransformersEngine:
    config = TransformersConfig(kind="transformers", device="cpu", dtype="float32", **knobs)
    return TransformersEngine(config, model, Codec.load(model), monotonic, 4096)


def texts(completions: list[Completion]) -> dict[str, tuple[str, str, int | None]]:
    return {
        each.request_id: (each.text, each.finish_reason, each.completion_tokens)
        for each in completions
    }


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize(
    "knobs",
    [{"max_batch_size": 4}, {"batch_tokens": 130}, {"attn_implementation": "sdpa"}],
    ids=str,
)
def test_no_batching_changes_a_text(
    model: ResolvedModel, knobs: dict[str, int | str], temperature: float
) -> None:
    requests = [request(n, 3 + 11 * (n % 5), 5 + 13 * (n % 4), temperature) for n in range(14)]
    with engine(model, max_batch_size=1) as alone, engine(model, **knobs) as together:
        expected = texts(list(alone.generate(requests)))
        assert texts(list(together.generate(requests))) == expected
    assert len(expected) == 14


@pytest.mark.parametrize(("tokens", "places"), [(4 * 4096, 4), (4 * 4096 - 1, None)])
def test_how_many_run_at_once_is_unknown_where_their_lengths_decide(
    model: ResolvedModel, tokens: int, places: int | None
) -> None:
    with engine(model, max_batch_size=4, batch_tokens=tokens) as limited:
        assert limited.info().max_concurrency == places


@pytest.mark.parametrize("limit", [1, 3, 8])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_samples_of_one_prompt_are_read_once_and_stay_their_own(
    model: ResolvedModel, monkeypatch: pytest.MonkeyPatch, temperature: float, limit: int
) -> None:
    prompts = [request(n, 20 - 6 * (n // 2), 4 + 9 * n, temperature) for n in range(4)]
    samples = [
        each.model_copy(
            update={"request_id": RequestId.of(each.problem_id, sample), "seed": 10 + sample}
        )
        for sample in range(5)
        for each in prompts
    ]
    read: list[tuple[int, ...]] = []
    whole = Batch._read

    def noted(self: Batch, prompts: Any) -> Any:
        read.extend(prompts)
        return whole(self, prompts)

    monkeypatch.setattr(Batch, "_read", noted)
    with engine(model, max_batch_size=1) as alone, engine(model, max_batch_size=limit) as together:
        expected: dict[str, tuple[str, str, int | None]] = {}
        for each in samples:  # one call each: nothing is known of the others
            expected |= texts(list(alone.generate([each])))
        assert len(read) == 2 + len(samples)  # with the two warm-ups
        read.clear()
        assert texts(list(together.generate(samples))) == expected
    assert sorted(read) == sorted(each.prompt_token_ids for each in prompts)
    different = {expected[f"t/p3#{sample}"] for sample in range(5)}
    assert len(different) == (1 if temperature == 0 else 5)


def test_a_place_is_taken_as_soon_as_it_is_free(model: ResolvedModel) -> None:
    requests = [request(n, 10, new) for n, new in enumerate([40, 4, 4, 4, 4, 4])]
    with engine(model, max_batch_size=2) as two:
        found = {each.request_id: each for each in two.generate(requests)}
    long = found[RequestId("t/p0#0")]
    others = [found[RequestId(f"t/p{n}#0")] for n in range(1, 6)]
    if long.completion_tokens == 40:
        assert all(known(each.finished_s) < known(long.finished_s) for each in others)


def test_prompts_are_read_a_few_at_a_time_and_their_tokens_count_at_once(
    model: ResolvedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [request(n, 400, 3) for n in range(5)]
    counts: list[int] = []
    whole = Batch.admit
    with engine(model) as loaded:

        def noted(self: Batch, newcomers: list[Row]) -> None:
            counts.append(loaded.tokens_under_way())
            whole(self, newcomers)

        monkeypatch.setattr(Batch, "admit", noted)
        assert len(list(loaded.generate(requests))) == len(requests)
        assert loaded.tokens_under_way() == 0
    assert counts == [0, 2, 4]  # two of 400 tokens in 1,024, each with its first token by then


def test_samples_of_a_long_prompt_are_admitted_together(
    model: ResolvedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = request(0, 1500, 3)
    samples = [
        long.model_copy(update={"request_id": RequestId.of("t/p0", n), "seed": n}) for n in range(4)
    ]
    sizes: list[int] = []
    whole = Batch.admit

    def noted(self: Batch, newcomers: list[Row]) -> None:
        sizes.append(len(newcomers))
        whole(self, newcomers)

    with engine(model) as loaded:
        monkeypatch.setattr(Batch, "admit", noted)
        assert len(list(loaded.generate(samples))) == len(samples)
    assert sizes == [4]


OUT_OF_MEMORY = """
import json, resource, sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
from tests.unit.test_engine_transformers import engine, request, texts
from harness.models import ResolvedModel
model = ResolvedModel(name="words", path=sys.argv[1], revision=None, sha256=None)
lengths = json.loads(sys.argv[2])
requests = [request(n, length, 6) for n, length in enumerate(lengths)]
with engine(model) as loaded:
    list(loaded.generate([request(0, 600, 2)]))
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = used + int(sys.argv[3]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    found = list(loaded.generate(requests))
    print(json.dumps([texts(found), [each.error for each in found], loaded._limit]))
"""


def starved(model: ResolvedModel, lengths: list[int], mib: int) -> list[Any]:
    """What an engine makes of prompts of these lengths with so much memory to work in."""
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-c", OUT_OF_MEMORY, model.path, json.dumps(lengths), str(mib), root]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    shown: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return shown


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited through Linux")
def test_a_batch_that_does_not_fit_is_halved(model: ResolvedModel) -> None:
    lengths = [2000] * 32
    found, errors, limit = starved(model, lengths, 150)
    with engine(model, max_batch_size=1) as alone:
        expected = texts(list(alone.generate([request(n, 2000, 6) for n in range(32)])))
    assert {key: tuple(value) for key, value in found.items()} == expected
    assert set(errors) == {None}
    assert 1 <= limit < 32


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
        RuntimeError("could not create a primitive"),
    ],
    ids=["python", "torch", "onednn"],
)
def test_no_answer_is_lost_when_memory_runs_out_while_a_row_leaves(
    model: ResolvedModel, monkeypatch: pytest.MonkeyPatch, error: MemoryError | RuntimeError
) -> None:
    requests = [request(n, 5 + 3 * n, 2 + 4 * n) for n in range(6)]
    with engine(model, max_batch_size=1) as alone:
        expected = texts(list(alone.generate(requests)))
    errors = [error]

    def gather_or_run_out(into: Any, parts: Any, width: int) -> Any:
        if parts[0][0] is into and len(parts) == 1 and errors:
            raise errors.pop()
        return gather(into, parts, width)

    monkeypatch.setattr(batch, "gather", gather_or_run_out)
    with engine(model) as together:
        found = list(together.generate(requests))
    assert errors == []
    assert len(found) == len(requests)
    assert texts(found) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited through Linux")
def test_a_prompt_whose_reading_ran_out_of_memory_was_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def runs_out(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Batch, "_read", runs_out)
    rows = [Row(request(7, 5, 3), 0.0) for _ in range(2)]
    with pytest.raises(MemoryError):
        Batch(None, 0).admit(rows)
    assert [row.cached_prompt_tokens for row in rows] == [None, None]


def test_one_that_never_fits_fails_alone(wide_model: ResolvedModel) -> None:
    found, errors, _ = starved(wide_model, [12, 4080, 20], 40)
    reasons = {key: value[1] for key, value in found.items()}
    assert reasons["t/p1#0"] == "error"
    assert [error for error in errors if error] == [errors[0]]
    assert errors[0].startswith("out of memory: ")
    assert {reasons["t/p0#0"], reasons["t/p2#0"]} <= {"length", "stop"}


def test_a_model_without_safetensors_is_unavailable(model: ResolvedModel, tmp_path: Path) -> None:
    for file in Path(model.path).iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"not to be unpickled")
    bare = model.model_copy(update={"path": str(tmp_path)})
    with pytest.raises(UnavailableError, match=r"^model=words: "), engine(bare):
        pass


# --- logits that decide nothing, positions that there are not ---------------------------------


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_row_without_finite_logits_fails_alone(model: ResolvedModel, temperature: float) -> None:
    import torch

    requests = [request(n, 5 + n, 6, temperature) for n in range(4)]
    with engine(model) as loaded:
        expected = texts(list(loaded.generate(requests)))
        used = {id_ for each in requests for id_ in each.prompt_token_ids}
        used |= {int(word[1:]) for text, *_ in expected.values() for word in text.split()}
        poison = min(set(range(3, 100)) - used)
        with torch.no_grad():
            loaded._model.get_input_embeddings().weight[poison] = float("nan")
        ill = request(4, 5, 6, temperature).model_copy(update={"prompt_token_ids": (3, poison, 4)})
        found = {each.request_id: each for each in loaded.generate([*requests, ill])}
    failed = found.pop(ill.request_id)
    assert failed.finish_reason == "error"
    assert "NaN" in str(failed.error)
    assert texts(list(found.values())) == expected


def test_a_model_without_any_finite_logits_loads_and_fails_each_request(
    model: ResolvedModel, tmp_path: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(model.path, tmp_path, dirs_exist_ok=True)
    broken = AutoModelForCausalLM.from_pretrained(model.path)
    with torch.no_grad():
        broken.model.norm.weight.fill_(float("nan"))
    broken.save_pretrained(tmp_path)
    with engine(model.model_copy(update={"path": str(tmp_path)})) as loaded:
        found = list(loaded.generate([request(n, 5, 3) for n in range(3)]))
    assert [each.finish_reason for each in found] == ["error"] * 3
    assert all("NaN" in str(each.error) for each in found)


@pytest.mark.parametrize("penalty", [None, 1.2])
def test_ids_so_far_are_put_together_for_each_token_only_for_a_penalty(
    model: ResolvedModel, monkeypatch: pytest.MonkeyPatch, penalty: float | None
) -> None:
    put_together = narrowed(property, vars(Row)["known_ids"]).fget
    assert put_together is not None
    read: list[Row] = []

    def counted(row: Row) -> tuple[int, ...]:
        read.append(row)
        found: tuple[int, ...] = put_together(row)
        return found

    asked = request(0, 5, 6)
    sampling = asked.sampling.model_copy(update={"repetition_penalty": penalty})
    with engine(model) as loaded:
        monkeypatch.setattr(Row, "known_ids", property(counted))
        (got,) = loaded.generate([asked.model_copy(update={"sampling": sampling})])
    admitted = 2  # when it is taken, and when it is read
    assert len(read) == admitted + (known(got.completion_tokens if penalty else 0))


def test_more_positions_than_the_model_has_learned_are_refused(
    model: ResolvedModel, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, GPT2Config

    config = GPT2Config(vocab_size=100, n_positions=32, n_embd=16, n_layer=1, n_head=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    for file in Path(model.path).glob("tokenizer*"):
        shutil.copyfile(file, tmp_path / file.name)
    learned = model.model_copy(update={"path": str(tmp_path)})
    knobs = TransformersConfig(
        kind="transformers", device="cpu", dtype="float32", attn_implementation="eager"
    )
    codec = Codec.load(learned)
    with (
        pytest.raises(ConfigError, match="32 positions"),
        TransformersEngine(knobs, learned, codec, monotonic, 33),
    ):
        pass
    with TransformersEngine(knobs, learned, codec, monotonic, 32) as fitting:
        (answer,) = fitting.generate([request(1, 20, 12)])
    assert answer.finish_reason in {"length", "stop"}
