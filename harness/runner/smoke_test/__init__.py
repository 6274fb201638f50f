"""Runs known problems before a long run, so that a fault shows within a minute.

A fault is something that spoils every answer: a template that loses the question, a stop token that
stops nothing, a thought that never ends, a scorer that rejects the right answer. That a small model
solves none of the problems is no fault: it is logged, and the run continues.

Each scorer has its own questions with right and wrong answers; ``smoke_test`` sends them, and
``faults`` reads the answers.

A fault is something that spoils every answer: a template that loses the question, a stop token
that stops nothing, a thought that never ends, a scorer that calls the right answer wrong. That a
small model solves none of the problems is no fault: it is logged, and the run continues.

Each scorer has its own questions with right and wrong answers; ``faults`` reads what came back,
``smoke_test`` sends them.
"""

from harness.runner.smoke_test.faults import CanaryAnswer, Findings, find_faults
from harness.runner.smoke_test.smoke_test import (
    Canary,
    check_scorers,
    chosen,
    is_wanted,
    refuse_faults,
)

__all__ = [
    "Canary",
    "CanaryAnswer",
    "Findings",
    "check_scorers",
    "chosen",
    "find_faults",
    "is_wanted",
    "refuse_faults",
]
