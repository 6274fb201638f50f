"""Sampling is exact: the shares of the tokens drawn are the probabilities, computed otherwise."""

import math
import random

import pytest

from harness.engines import sampling as module
from harness.engines.sampling import draw, penalised
from harness.records import Sampling


def sampling(
    temperature: float, top_p: float = 1.0, top_k: int | None = None, **options: float
) -> Sampling:
    return Sampling(temperature=temperature, top_p=top_p, top_k=top_k, max_new_tokens=1, **options)


def expected(logits: list[float], how: Sampling) -> dict[int, float]:
    """Temperature, then min_p, then top_k, then top_p, in plain Python."""
    weights = {token: math.exp(logit / how.temperature) for token, logit in enumerate(logits)}
    least = (how.min_p or 0) * max(weights.values())
    weights = {token: weight for token, weight in weights.items() if weight >= least}
    ranked = sorted(weights, key=weights.__getitem__, reverse=True)[: how.top_k]
    total = sum(weights[token] for token in ranked)
    kept, mass = [], 0.0
    for token in ranked:
        kept.append(token)
        mass += weights[token] / total
        if mass >= how.top_p:
            break
    total = sum(weights[token] for token in kept)
    return {token: weights[token] / total for token in kept}


@pytest.mark.parametrize(
    "how",
    [
        sampling(1.0),
        sampling(0.6, top_p=0.95),
        sampling(0.3, top_p=0.5),
        sampling(1.7, top_p=0.99),
        sampling(1.0, top_k=3),
        sampling(0.8, top_p=0.7, top_k=20),
        sampling(1.0, top_p=0.999999),
        sampling(1.0, top_p=1e-9),
        sampling(1.0, min_p=0.1),
        sampling(1.5, min_p=0.05, top_p=0.9),
        sampling(0.7, min_p=0.2, top_k=3),
        sampling(1.0, min_p=1.0),
    ],
    ids=lambda how: f"t{how.temperature}-p{how.top_p}-k{how.top_k}-m{how.min_p}",
)
@pytest.mark.parametrize("candidates", [4, 256], ids=["few candidates", "many"])
def test_shares_are_the_probabilities(
    how: Sampling, candidates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(module, "CANDIDATES", candidates)
    generator = random.Random(5)
    logits = [generator.gauss(0, 2) for _ in range(40)]
    # A grid of numbers instead of random ones: each share is then right to within one point.
    points = 4000
    uniforms = [(point + 0.5) / points for point in range(points)]
    rows = torch.tensor([logits] * points)
    drawn = draw(rows, [how] * points, uniforms)
    probabilities = expected(logits, how)
    assert set(drawn) <= set(probabilities)
    for token, probability in probabilities.items():
        assert drawn.count(token) / points == pytest.approx(probability, abs=1.5 / points)


def test_rows_with_different_sampling_do_not_touch_each_other() -> None:
    import torch

    logits = torch.randn(4, 3000, generator=torch.Generator().manual_seed(1))
    kinds = [sampling(0), sampling(1.0), sampling(0.7, top_p=0.9), sampling(1.3, top_k=700)]
    uniforms = [0.5, 0.25, 0.75, 0.999]
    together = draw(logits, kinds, uniforms)
    alone = [draw(logits[[row]], [kinds[row]], [uniforms[row]])[0] for row in range(4)]
    assert together == alone
    assert together[0] == int(logits[0].argmax())


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
@pytest.mark.parametrize("how", [sampling(1.0), sampling(1.0, top_p=0.9)], ids=["all", "nucleus"])
def test_the_ends_of_the_interval_draw_tokens(how: Sampling, uniform: float) -> None:
    import torch

    logits = torch.zeros(1, 1000)
    (token,) = draw(logits, [how], [uniform])
    assert 0 <= token < 1000


def test_a_tiny_temperature_is_greedy() -> None:
    import torch

    logits = torch.randn(1, 500, generator=torch.Generator().manual_seed(2)) * 50
    assert draw(logits, [sampling(1e-30, top_p=0.95)], [0.99]) == [int(logits.argmax())]
    assert draw(logits, [sampling(1e-30)], [0.99]) == [int(logits.argmax())]


def test_a_penalty_is_of_the_tokens_that_occurred_in_its_row_alone() -> None:
    import torch

    logits = torch.tensor([[2.0, -2.0, 0.5, 0.0], [2.0, -2.0, 0.5, 0.0]])
    before = logits.clone()
    how = [sampling(0, repetition_penalty=2.0), sampling(0)]
    found = penalised(logits, how, [(0, 1, 0, 0), (0, 1)])
    # above 0 divided, below 0 multiplied, once however often it occurred
    assert found.tolist() == [[1.0, -4.0, 0.5, 0.0], [2.0, -2.0, 0.5, 0.0]]
    assert torch.equal(logits, before), "the logits of a prompt are kept for the next row"
    assert penalised(logits, [sampling(0), sampling(0)], [(0,), (0,)]) is logits
