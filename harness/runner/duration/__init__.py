"""Forecasts how long a run will take and what it will cost.

``roofline`` adds up the steps of a batch, ``devices`` gives the speed of a machine, ``earlier``
finds a comparable earlier run, and ``expected_time`` combines them.

``roofline`` adds up the steps of a batch, ``devices`` says what a machine achieves, ``earlier``
looks for a run that was already made, ``expect`` puts it together.
"""

from harness.runner.duration.expected_time import ERROR_FACTORS, expect

__all__ = ["ERROR_FACTORS", "expect"]
