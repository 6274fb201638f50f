"""Rule R4: an effect taken apart by switching its causes on and off, in a 2 x 2 design."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.claims.claim import Ablation, Claim, Tag
from harness.claims.published import challenge_p, not_comparable
from harness.claims.repetitions import (
    Ratio,
    Setting,
    by_seed,
    mechanism_only,
    setting_of,
    sort_out,
    value_of,
)
from harness.claims.runs import (
    MAX_TRUNCATED,
    AnyRun,
    Wanted,
    native_args,
    quantization,
    truncated_fraction,
)
from harness.claims.verdict import ALPHA, Decision, Evidence
from harness.stats.paired import compare_paired, pair_up
from harness.store.result import RunResult

FACTORS = ("speculative_decoding", "fp8")
"""The factors of the 2 x 2 design, in the order of a cell's two switches."""
_SWITCHES = ("speculative_config", "quantization")
"""The engine's arguments that set them."""
_FP8 = ("fp8_per_tensor", "fp8")
"""vLLM's names for BF16 weights rounded to FP8 while they load; the second is the older one."""
Cell = tuple[bool, bool]
"""Speculative decoding on, FP8 on."""


class Design(NamedTuple):
    """The four cells of one model in one setting, each with its repetitions by seed."""

    model: str
    setting: Setting
    cells: Mapping[Cell, Mapping[int, RunResult]]

    @property
    def seeds(self) -> list[int]:
        """Repetitions that all four cells have."""
        by_cell = [set(self.cells.get(cell, {})) for cell in _CELLS]
        return sorted(set.intersection(*by_cell))

    def runs(self) -> list[RunResult]:
        """The runs of these repetitions."""
        return [self.cells[cell][seed] for cell in _CELLS for seed in self.seeds]


_CELLS: tuple[Cell, ...] = ((False, False), (True, False), (False, True), (True, True))


def ablations(claim: Claim, block: Ablation, runs: Sequence[AnyRun]) -> list[Evidence]:
    """A verdict for each model and batch size; they must agree."""
    wanted = Wanted(block.task, block.metric, block.protocol, block.models, is_score=False)
    fitting, evidence = sort_out(runs, wanted)
    designs: dict[tuple[str, Setting], dict[Cell, list[RunResult]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for run in fitting:
        setting = setting_of(run, block.task, _SWITCHES)
        if quantization(run) not in (None, *_FP8):
            evidence.append(not_comparable(run, f"quantised otherwise: {quantization(run)}"))
        elif setting.batch_size not in block.batch_sizes:
            planned = ", ".join(str(size) for size in block.batch_sizes)
            size = "chosen by the engine" if setting.batch_size is None else setting.batch_size
            evidence.append(not_comparable(run, f"batch size {size}; planned are {planned}"))
        else:
            cell = (
                native_args(run).get("speculative_config") is not None,
                quantization(run) in _FP8,
            )
            designs[run.manifest.config.model.name, setting][cell].append(run)
    for (model, setting), cells in sorted(designs.items(), key=lambda item: str(item[0])):
        design = Design(model, setting, {cell: by_seed(each) for cell, each in cells.items()})
        evidence.append(_ablation(claim, block, design))
    return evidence


def _ablation(claim: Claim, block: Ablation, design: Design) -> Evidence:
    where = f"{design.model}, {design.setting.words()}"
    if not design.seeds:
        every = [run for each in design.cells.values() for run in each.values()]
        missing = [_cell_words(cell) for cell in _CELLS if cell not in design.cells]
        why = f"no run with {'; '.join(missing)}" if missing else "no seed that all four cells have"
        return Evidence(
            kind="run",
            text=f"not comparable: {where}: the design is not whole, {why}",
            verdict="not comparable",
            run_ids=tuple(run.manifest.run_id for run in every),
            model=design.model,
        )
    assert claim.figure is not None, "a ratio is set against a figure"
    about = claim.figure.number
    band = (about * (1 - block.band_fraction), about * (1 + block.band_fraction))
    effects = _effects(block, design)
    both = effects["both"]
    verdict, tag = _verdict(effects, band, block.band_fraction)
    caveats = [mechanism_only(block.stands_for), *_guard(block, design)]
    if len(caveats) > 1:
        verdict, tag = "inconclusive", None
    if len(design.seeds) < block.repetitions:
        caveats.append(f"{len(design.seeds)} repetitions where {block.repetitions} were planned")
    return Evidence(
        kind="run",
        text=f"{where}: {both.words()}; "
        + ", ".join(f"{name} {effects[name].words()}" for name in (*FACTORS, "interaction")),
        verdict=verdict,
        tag=tag,
        run_ids=tuple(run.manifest.run_id for run in design.runs()),
        model=design.model,
        numbers={name: ratio.value for name, ratio in effects.items()}
        | {"repetitions": len(design.seeds), "band_low": band[0], "band_high": band[1]}
        | {"draft_acceptance_fraction": _acceptance(design)},
        arithmetic="mean over seeds of the logarithms of ratios; main effects are means over the "
        "other factor, the interaction is what both together do beyond them",
        intervals=both.bounds("both together", 0.90)
        + tuple(bounds for name, each in effects.items() for bounds in each.bounds(name)),
        p=challenge_p(lambda level: both.excludes(band, level)),
        caveats=tuple(caveats),
    )


def _effects(block: Ablation, design: Design) -> dict[str, Ratio]:
    """Both factors together, each one's main effect, and their interaction."""
    logs = {
        cell: np.array(
            [
                np.log(value_of(design.cells[cell][seed], block.metric, block.task))
                for seed in design.seeds
            ]
        )
        for cell in _CELLS
    }
    none, first, second, both = (logs[cell] for cell in _CELLS)
    found = {
        "both": both - none,
        FACTORS[0]: ((first - none) + (both - second)) / 2,
        FACTORS[1]: ((second - none) + (both - first)) / 2,
        "interaction": both - first - second + none,
    }
    return {name: Ratio(tuple(float(x) for x in values)) for name, values in found.items()}


def _verdict(
    effects: Mapping[str, Ratio], band: tuple[float, float], slight: float
) -> tuple[Decision, Tag | None]:
    """The verdict by the ratio of both together; it notes a factor that adds little."""
    both = effects["both"]
    ninety = both.interval(0.90)
    if ninety is None:
        return "inconclusive", None
    if band[0] < ninety[0] and ninety[1] < band[1]:
        alone = [effects[name].interval(0.95) for name in FACTORS]
        is_idle = any(each is not None and each[1] < 1 + slight for each in alone)
        return ("challenged", "attribution") if is_idle else ("reproduced", None)
    return ("challenged", "value") if both.excludes(band) else ("inconclusive", None)


def _guard(block: Ablation, design: Design) -> list[str]:
    """Why the answers of the faster runs are worse; empty if they are as good."""
    # Of all repetitions together: one answer of a run's 20 would be more than is allowed already.
    for cell in _CELLS:
        runs = [design.cells[cell][seed] for seed in design.seeds]
        cut = sum(truncated_fraction(run, block.task) for run in runs) / len(runs)
        if cut > MAX_TRUNCATED:
            return [
                f"the guard cannot be read: with {_cell_words(cell)} {100 * cut:.1f} % of the "
                f"answers were truncated, more than {100 * MAX_TRUNCATED:g} %"
            ]
    p_values = []
    for cell in _CELLS[1:]:
        pairs = pair_up(*_pooled(block.task, design, _CELLS[0], cell))
        p_values.append(compare_paired(pairs).p_worse or 1.0)
    lowest = min(p_values) * len(p_values)  # Bonferroni: three cells against one
    if lowest < ALPHA:
        return [f"the guard failed: fewer problems solved when faster (adjusted p {lowest:.2g})"]
    return []


def _pooled(
    task: str, design: Design, before: Cell, after: Cell
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Counts of each problem over all repetitions of two cells."""
    sides = []
    for cell in (before, after):
        solved: Counter[str] = Counter()
        samples: Counter[str] = Counter()
        for seed in design.seeds:
            for name, tally in design.cells[cell][seed].tallies(task).items():
                if tally.samples:
                    solved[name] += tally.solved
                    samples[name] += tally.samples
        sides.append((solved, samples))
    (solved_before, samples_before), (solved_after, samples_after) = sides
    names = sorted(samples_before.keys() & samples_after.keys())
    return (
        [solved_before[name] for name in names],
        [samples_before[name] for name in names],
        [solved_after[name] for name in names],
        [samples_after[name] for name in names],
    )


def _acceptance(design: Design) -> float | None:
    """Mean share of drafted tokens that were accepted, where the engine counted."""
    known = [
        engine.serving.draft_acceptance_fraction
        for run in design.runs()
        if (engine := run.manifest.engine)
        and engine.serving
        and engine.serving.draft_acceptance_fraction is not None
    ]
    return sum(known) / len(known) if known else None


def _cell_words(cell: Cell) -> str:
    return ", ".join(
        f"{name} {'on' if on else 'off'}" for name, on in zip(FACTORS, cell, strict=True)
    )
