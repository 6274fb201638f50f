"""The process that does algebra: one pair of answers per line in, one verdict per line out.

Started by ``pool`` with a separate environment. Nothing here keeps it alive: a pair that takes
too long or too much memory costs the process, not the run.
"""

import json
import resource
import signal
import sys

MEMORY_BYTES = 3 * 2**30
# When the parent is gone, the kernel kills a stuck worker after this many seconds.
ORPHAN_GRACE_S = 5


def judge(gold: str, answer: str) -> dict[str, object]:
    """The verdict on one pair: ``is_equal``; ``unreadable`` with the reason when there is none."""
    from harness.scorers.equivalence.algebra import Algebra
    from harness.scorers.equivalence.matching import same
    from harness.scorers.equivalence.parse_answer import read

    try:
        verdict = same(read(gold), read(answer), Algebra())
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a text brings about is reported
        return {"is_equal": False, "unreadable": f"{type(error).__name__}: {error}"[:200]}
    if verdict is None:
        return {"is_equal": False, "unreadable": "algebra could not tell"}
    return {"is_equal": verdict}


def main() -> None:
    """Answers until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.setrecursionlimit(3000)
    for line in sys.stdin:
        request = json.loads(line)
        signal.alarm(int(request["limit_s"]) + ORPHAN_GRACE_S)
        verdict = judge(request["gold"], request["answer"])
        signal.alarm(0)
        sys.stdout.write(json.dumps(verdict) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
