"""A run against a published score: the decision rule, and counts that are known from elsewhere."""

import numpy as np
import pytest

from harness.stats.replication import ErrorModel, Published, lower_bound, replicate, score_interval
from tests.facts import known


def replication(
    solved: int,
    published: float,
    margin: float = 0.03,
    model: ErrorModel = "new_problems",
    error: float = 0.0,
) -> str | None:
    return replicate(
        np.array([1] * solved + [0] * (500 - solved)),
        np.ones(500),
        Published(published, margin, error),
        model,
    ).verdict


def test_a_published_score_is_reproduced_challenged_or_neither() -> None:
    assert replication(464, 0.928) == "reproduced"
    assert replication(456, 0.928) == "inconclusive"
    assert replication(400, 0.928) == "challenged"
    assert replication(464, 0.928, model="fixed_benchmark") is None


def test_replication_passes_where_the_difference_leaves_room_for_its_error() -> None:
    # 500 problems, one sample for a Wilson interval of ±1.9 at 90 %, and a published error.
    assert replication(470, 0.93) == "reproduced"
    assert replication(470, 0.93, error=0.03) == "inconclusive"


def test_decoding_noise_alone_reproduces_what_new_problems_cannot() -> None:
    rng = np.random.default_rng(8)
    solved = rng.binomial(16, rng.beta(0.7, 0.3, 100))
    score = solved.mean() / 16
    args = (solved, np.full(100, 16), Published(score + 0.005, 0.03))
    assert replicate(*args, "fixed_benchmark").verdict == "reproduced"
    assert replicate(*args, "new_problems").verdict == "inconclusive"


@pytest.mark.parametrize(("solved", "problems", "bound"), [(441, 500, 0.855), (158, 164, 0.925)])
def test_lower_bounds_cross_a_claim_at_the_tabulated_counts(
    solved: int, problems: int, bound: float
) -> None:
    def found(count: int) -> float:
        return known(
            lower_bound(np.array([1] * count + [0] * (problems - count)), np.ones(problems))
        )

    assert found(solved - 1) < bound < found(solved)


def test_a_score_of_one_problem_has_an_interval_from_its_samples() -> None:
    found = score_interval([3], [4], "fixed_benchmark")
    assert known(found.low) < 0.75 < known(found.high)
