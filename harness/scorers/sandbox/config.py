"""Settings of the sandbox: the required safety, and the limits of one program."""

from typing import Annotated

from pydantic import Field

from harness.records import Record
from harness.scorers.sandbox.protocol import Level, Limits

MiB = 1024 * 1024


class SandboxConfig(Record):
    """How model-written programs are run. Every field can change a verdict or the safety of it."""

    min_level: Level = "landlock"
    """The weakest protection to accept: ``namespaces`` > ``landlock`` > ``seccomp`` > ``none``.

    The best level that passes a self-test is used; below this one nothing is run. At ``seccomp``
    a program can read and write the user's files, at ``none`` it can do all that the user can.
    """

    time_limit_s: Annotated[float, Field(gt=0, le=3600)] = 10.0
    """Seconds for one program, its tests included; time spent waiting for a CPU is not counted."""

    memory_bytes: Annotated[int, Field(ge=128 * MiB)] = 2 * 1024 * MiB
    """Address space of one program; stacks of threads count."""

    confirm_passes: bool = True
    """Run the tests of each pass once more, out of the candidate's reach.

    A pass that this does not confirm is reported as ``unconfirmed`` and is not correct.
    """

    numpy: bool = True
    """Programs may import numpy, read-only, of the version that the harness is installed with.

    HumanEval's own environment has it. Nothing else besides the standard library is importable.
    """

    def limits(self) -> Limits:
        """The limits of one program."""
        return Limits(self.time_limit_s, self.memory_bytes, self.numpy)
