"""What people read first: where to begin, the commands by purpose, an example of each."""

import argparse
from collections.abc import Mapping

START = """\
harness measures local models and checks published claims. Where to begin:

  harness doctor                     what this machine can run
  harness run experiment=demo        benchmark a small model; KEY=VALUE changes anything
  harness nightly --dry-run          what a nightly run would do, and compare with
  harness compare A.json B.json      compare two results problem by problem
  harness claims                     verdicts on the claims of press articles

harness --help lists all commands."""

PURPOSES: Mapping[str, tuple[str, ...]] = {
    "run a benchmark": ("run", "status", "score", "rerun", "merge", "doctor"),
    "watch": ("nightly",),
    "look at results": ("report", "leaderboard", "compare", "validate", "export", "schema"),
    "check claims": ("claims", "check", "derive"),
    "use other tasks, models and answers": ("tasks", "models", "new", "grade", "completion"),
}
"""Every command, below what people want when they use it."""

EXAMPLES: Mapping[str, str] = {
    "score": "harness score RUN",
    "validate": "harness validate RUN",
    "rerun": "harness rerun RUN --n 10",
    "compare": "harness compare BASELINE CANDIDATE --margin 2",
    "claims": "harness claims --verdict challenged --article A1",
    "derive": "harness derive V3 --context 131072",
    "check": "harness check README.md --plan-for rtx4090",
    "report": "harness report results/baselines/*.json -o report",
    "leaderboard": "harness leaderboard --task humaneval --since 2026-01-31",
    "nightly": "harness nightly experiment=nightly --nights 7 --margin 2",
    "merge": "harness merge SHARD_1 SHARD_2",
    "export": "harness export lm-eval RUN -o samples.jsonl",
    "grade": "harness grade python programs.jsonl",
    "status": "harness status --follow",
    "doctor": "harness doctor",
    "completion": 'eval "$(harness completion bash)"',
    "new": "harness new task my_task",
    "tasks": "harness tasks",
    "models": "harness models --include ../mine",
    "schema": "harness schema > result.schema.json",
}


def by_purpose(texts: Mapping[str, str | None]) -> str:
    """The list of commands for ``harness --help``.

    Args:
        texts: By command, what it does.
    """
    lines: list[str] = []
    for purpose, names in PURPOSES.items():
        lines += ["", f"{purpose}:"]
        lines += [f"  {name:<12} {texts[name]}" for name in names]
    return "\n".join(lines[1:])


def with_example(name: str, command: argparse.ArgumentParser) -> None:
    """Ends a command's help with an example."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = f"example:\n  {EXAMPLES[name]}"
