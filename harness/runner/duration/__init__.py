"""How long a run will take and what it will cost, before it begins.

``roofline`` adds up the steps of a batch, ``devices`` says what a machine achieves, ``earlier``
looks for a run that was already made, ``expect`` puts it together.
"""

from harness.runner.duration.expected_time import ERROR_FACTORS, expect

__all__ = ["ERROR_FACTORS", "expect"]
