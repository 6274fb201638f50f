"""A whole run with the engine. Install the package first: pip install -e ."""

from pathlib import Path

import harness


def test_every_problem_gets_an_answer(tmp_path: Path) -> None:
    finished = harness.run(
        model="remote",
        tasks=["math_mini:3"],
        overrides=[
            "model.name=my-model",
            "engine=NAME",
            "protocol=greedy",
            f"results_dir={tmp_path}",
        ],
    )
    assert finished.result is not None
    assert len(finished.result.outcomes) == 3
    assert {each.finish_reason for each in finished.result.outcomes} == {"stop"}
    assert finished.result.manifest.extensions == {"engine NAME": "NAME-engine 0.1.0"}
