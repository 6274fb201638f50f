"""The grades, and that the harness finds scorer and task. Install first: pip install -e ."""

from harness.scorers.build import definition_of, standard_settings
from harness.tasks import load_task, parse_selection


def test_the_known_problems_are_graded_as_they_should_be() -> None:
    definition = definition_of("NAME")
    with definition.build(standard_settings(workers=1)) as scorer:
        for known in definition.known_problems:
            assert scorer.grade(known.problem, known.right).status == "correct"
            assert scorer.grade(known.problem, known.wrong).status == "incorrect"
            assert scorer.grade(known.problem, "").status == "no_answer"


def test_the_task_has_its_problems() -> None:
    assert len(load_task(parse_selection("NAME_example")).problems) == 3
