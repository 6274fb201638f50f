"""Every class of attack, at every level that this machine reaches: program -> how it must end."""

from collections.abc import Iterator

import pytest

from harness.scorers.sandbox.client import WardenFailedError
from harness.scorers.sandbox.pool import Sandbox
from harness.scorers.sandbox.protocol import LEVELS
from tests.unit.sandbox_attacks import (
    CHEATS,
    HOGS,
    THIEVES,
    Case,
    sandbox_at,
    stage,
    try_cheat,
    try_hog,
    try_thief,
)

ALONE = "import os; assert os.listdir() == ['solution.py']"


@pytest.fixture(scope="module", params=LEVELS)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    sandbox = sandbox_at(request.param)
    try:
        sandbox.__enter__()
    except WardenFailedError as error:
        pytest.skip(f"level {request.param} is not to be had here: {error}")
    yield sandbox
    sandbox.__exit__(None, None, None)


def skip_unless_promised(sandbox: Sandbox, case: Case) -> None:
    level = sandbox.report().level
    if not case.is_promised_by(level):
        pytest.skip(f"level {level} does not promise it")


def ids(case: Case) -> str:
    return case.name.replace(" ", "-")


@pytest.mark.parametrize("case", CHEATS, ids=ids)
def test_no_false_pass(sandbox: Sandbox, case: Case) -> None:
    skip_unless_promised(sandbox, case)
    outcome = try_cheat(sandbox, case)
    assert outcome.kind in case.ends.split("|"), outcome
    assert outcome.detail.startswith(outcome.kind)
    assert outcome.detail.isprintable()
    assert len(outcome.detail) < 600


@pytest.mark.parametrize("case", HOGS, ids=ids)
def test_resources_are_bounded(sandbox: Sandbox, case: Case) -> None:
    skip_unless_promised(sandbox, case)
    outcome = try_hog(sandbox, case)
    assert outcome.kind in case.ends.split("|"), outcome
    assert sandbox.run_program(ALONE).passed, "something was left"


@pytest.mark.parametrize("case", THIEVES, ids=ids)
def test_harm_is_refused(sandbox: Sandbox, case: Case) -> None:
    skip_unless_promised(sandbox, case)
    with stage() as scene:
        outcome = try_thief(sandbox, scene, case)
        assert outcome.passed, outcome
        assert scene.damage is None
