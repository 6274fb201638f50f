"""The forecast: seconds and US dollars of a configuration, with the expected error."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.config.settings import RunConfig
from harness.errors import UserError
from harness.machine import hardware
from harness.machine.provenance import Provenance
from harness.models import ModelConfig
from harness.models.parameters import active_matrices, active_parameters, total_parameters
from harness.models.shape import Architecture
from harness.quantities.answer_length import AnswerLengths
from harness.quantities.published import answer_lengths, find_architecture
from harness.runner.build_result import choose_pricing, usd_per_s
from harness.runner.duration.devices import Devices, devices_of
from harness.runner.duration.earlier import Earlier, find_earlier
from harness.runner.duration.roofline import Batch, Course, Load, course, lengths
from harness.runner.preflight import memory_needed_bytes, sizes_of
from harness.store.manifest import ExpectedTime

ERROR_FACTORS = {"earlier run": 1.5, "roofline": 1.4, "roofline of a CPU": 3.0}
"""The true value is expected between the figure divided and multiplied by this factor. On a GPU,
speeds are predicted within a tenth, and the rest covers the lengths of answers. On a CPU the share
of its arithmetic in use is uncertain, and an earlier run met another load."""

# Reading weights.
_LOAD_BYTES_PER_S = 1e9
# A prompt whose length is not known.
_PROMPT_TOKENS = 200.0
# Of each drafted token: assumptions, as the acceptance is what an ablation is made to find out.
_ACCEPTANCE = {"ngram": 0.3, "suffix": 0.3}
_HEAD_ACCEPTANCE, _HEAD_COST = 0.7, 0.1


class _Asked(NamedTuple):
    """The expected answers."""

    answers: Mapping[str, Sequence[int]]
    prompt_tokens: float
    source: str


def expect(
    config: RunConfig, requests: Mapping[str, int], here: Provenance, results_dir: Path
) -> ExpectedTime | str:
    """How long a run will take, or why that is unknown.

    Args:
        config: The run's; its engine may still be ``auto``.
        requests: How many, by task.
        here: This machine.
        results_dir: Where earlier runs are.

    Raises:
        ConfigError: ``plan_for`` names none.
    """
    if not config.engine.is_local:
        return f"engine={config.engine.kind} computes somewhere else"
    config = _as_chosen_here(config, here)
    devices = devices_of(config, here)
    if isinstance(devices, str):
        return devices
    config = _with_engine(config, devices)
    load = _load(config)
    if load is None:
        return f"the size of model={config.model.name} is not known"
    earlier = find_earlier(config, here, results_dir) if config.plan_for is None else None
    asked = _asked(config, requests, earlier)
    if isinstance(asked, str):
        return asked
    batch = _batch(config, devices, load)
    if batch.cache_tokens <= 0:
        return f"the weights do not fit into {devices.title}"
    found = _course(asked.answers, asked.prompt_tokens, load, devices, batch)
    basis = "roofline" if devices.device == "cuda" else "roofline of a CPU"
    source = f"{devices.title}; answers: {asked.source}"
    seconds = found.seconds
    load_s = _start_s(config, load)
    if earlier is not None:
        # It was one worker, whatever this one's number is.
        alone = devices.of_one_worker()
        again = _course(earlier.answers, earlier.prompt_tokens, load, alone, batch)
        seconds *= earlier.generation_s / again.seconds
        load_s = earlier.load_s or load_s
        basis = "earlier run" if earlier.is_same_protocol else basis
        source += f"; speed as in {earlier.run_id}"
    return _expected(config, devices, (load_s, seconds, found.tokens), basis, source)


def _as_chosen_here(config: RunConfig, here: Provenance) -> RunConfig:
    """``engine=auto`` as resolved on this machine, when the plan is for its own GPUs."""
    is_planned = config.plan_for is None and here.gpus and hardware.cuda_devices() > 0
    if not is_planned or not config.engine.is_open:
        return config
    return config.model_copy(update={"engine": config.engine.resolved()[0]})


def _with_engine(config: RunConfig, devices: Devices) -> RunConfig:
    """``engine=auto`` as vLLM where the planned devices, maybe another machine's, are GPUs."""
    engine = config.engine.for_device(is_gpu=devices.device == "cuda")
    return config.model_copy(update={"engine": engine})


def _expected(
    config: RunConfig,
    devices: Devices,
    amounts: tuple[float, float, int],
    basis: str,
    source: str,
) -> ExpectedTime:
    load_s, seconds, tokens = amounts
    factor = ERROR_FACTORS[basis]
    rent = usd_per_s(choose_pricing(config.pricing, devices), devices)
    return ExpectedTime(
        basis=basis,
        source=source,
        output_tokens=tokens,
        load_s=load_s,
        generation_s=seconds,
        generation_low_s=seconds / factor,
        generation_high_s=seconds * factor,
        usd=None if rent is None else rent * (load_s + seconds),
    )


def _course(
    answers: Mapping[str, Sequence[int]],
    prompt_tokens: float,
    load: Load,
    devices: Devices,
    batch: Batch,
) -> Course:
    """The course of the copy with the most requests."""
    all_of_them = np.concatenate([np.asarray(each) for each in answers.values()])
    mixed = np.random.default_rng(0).permutation(all_of_them)
    found = course(mixed[:: devices.copies], prompt_tokens, load, devices.roof, batch)
    return found._replace(tokens=int(all_of_them.sum()))


def _asked(config: RunConfig, requests: Mapping[str, int], earlier: Earlier | None) -> _Asked | str:
    """Answer lengths from an earlier run of the same protocol, else the expected ones."""
    known = lengths_for(config)
    most = config.protocol.max_new_tokens
    answers: dict[str, Sequence[int]] = {}
    sources = []
    for task, count in requests.items():
        if earlier is not None and earlier.is_same_protocol and task in earlier.answers:
            answers[task] = [int(n) for n in np.resize(earlier.answers[task], count)]
            sources.append(f"{task} as in {earlier.run_id}")
        elif (mean := known.of(config.model.name, task)) is not None:
            answers[task] = [int(n) for n in lengths(mean, known.log_sd, most, count)]
            sources.append(f"{task} {np.mean(answers[task]):,.0f} tokens")
        else:
            return f"how long answers to {task} are is not known: conf/answer_length says nothing"
    if not sum(requests.values()):
        return "nothing is asked"
    prompt = _PROMPT_TOKENS if earlier is None else earlier.prompt_tokens
    return _Asked(answers, prompt, ", ".join(sources))


def lengths_for(config: RunConfig) -> AnswerLengths:
    """The expected lengths for a model: by its name, else by whether it is a reasoning model."""
    kinds = answer_lengths()
    for each in kinds.values():
        if config.model.name in each.models:
            return each
    return kinds["reasoning" if config.protocol.force_think else "instruct"]


def _load(config: RunConfig) -> Load | None:
    weights = memory_needed_bytes(config.model, config.engine, 0)
    if weights is None:
        return None
    per_token = (memory_needed_bytes(config.model, config.engine, 1) or weights) - weights
    parameters = sizes_of(config.model).parameters or 0
    matrices, active = float(parameters), 1.0
    shape = _architecture(config.model)
    if shape is not None:
        matrices = float(active_matrices(shape) or parameters)
        total = total_parameters(shape)
        active = (active_parameters(shape) or parameters) / total if total else 1.0
    read = weights if shape is not None and shape.experts else weights * active
    return _drafting(config, Load(read, weights * active, 2 * matrices, per_token))


def _architecture(model: ModelConfig) -> Architecture | None:
    for name in filter(None, (model.name, model.base)):
        with contextlib.suppress(UserError):
            return find_architecture(name)
    return None


def _drafting(config: RunConfig, load: Load) -> Load:
    """The load with speculative decoding: drafted and accepted tokens per step, and their cost."""
    draft = config.engine.speculation
    if draft is None:
        return load
    drafted = draft.get("num_speculative_tokens") or 1
    method = str(draft.get("method"))
    accepted = _ACCEPTANCE.get(method, _HEAD_ACCEPTANCE)
    return load._replace(
        tokens_per_step=sum(accepted**n for n in range(drafted + 1)),
        computed_per_step=drafted + 1.0,
        drafting=0.0 if method in _ACCEPTANCE else _HEAD_COST * drafted,
    )


def _batch(config: RunConfig, devices: Devices, load: Load) -> Batch:
    """The requests that one copy of the model serves at once, and its cache for their tokens."""
    engine = config.engine
    places = engine.requests_at_once(
        config.protocol.context_tokens, devices.device_name, devices.gpu_bytes
    )
    shape, fraction = sizes_of(config.model).shape, engine.gpu_fraction
    if devices.gpu_bytes is None or shape is None or fraction is None:
        return Batch(places, float("inf"))
    total = engine.replica_size * devices.gpu_bytes
    # All of them lie there; a step reads no table of input embeddings.
    weights = memory_needed_bytes(config.model, engine, 0) or 0
    own = engine.overhead_bytes(shape, devices.device_name, devices.gpu_bytes)
    cache_bytes = total * fraction - weights - own
    return Batch(places, cache_bytes / load.cache_bytes_per_token)


def _start_s(config: RunConfig, load: Load) -> float:
    return config.engine.speed.start_s + load.weight_bytes / _LOAD_BYTES_PER_S
