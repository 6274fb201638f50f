"""The command ``harness``: reads the arguments, hands them on, turns an error into one line.

Nothing heavy is imported before it is known to be needed: ``harness --help`` is instant.
"""

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from harness import __version__
from harness.errors import HarnessError, Interrupted, UserError
from harness.paths import default_results_dir

RUN_HELP = """\
usage: harness run [--dry-run] [--cfg job] [-m] [KEY=VALUE ...]

Runs a benchmark: composes conf/, generates, scores and writes results/runs/<run_id>/.

  harness run experiment=demo                  a small real model on a CPU, in minutes
  harness run                                  DeepSeek-R1-Distill-Qwen-1.5B, 40 problems
  harness run model=r1_distill_qwen_7b suite=full protocol.samples_per_problem=4
  harness run model=local model.path=/models/mine tasks=[humaneval,math500:100]
  harness run -m model=r1_distill_qwen_1_5b,r1_distill_qwen_7b
  harness run resume=auto experiment=demo      go on where the same command was stopped

  --dry-run   print what would be done, load nothing
  --cfg job   print the composed configuration
  -m          sweep: one run for each combination of comma-separated values
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: see ``errors`` and docs/results.md.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    logging.basicConfig(format="harness: %(message)s", level=logging.WARNING, stream=sys.stderr)
    logging.getLogger("harness").setLevel(logging.DEBUG if debug else logging.INFO)
    # What they warn of, our one-line errors say.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    logging.getLogger("datasets").setLevel(logging.CRITICAL)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return _dispatch(arguments)
    except (HarnessError, Interrupted) as error:
        if debug:
            traceback.print_exc()
        print(f"harness: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last door: a line for people, status 1
        if debug:
            traceback.print_exc()
        text = " ".join(str(error).split())
        print(  # noqa: T201
            f"harness: unexpected {type(error).__name__}: {text} (--debug shows where)",
            file=sys.stderr,
        )
        return 1


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(f"stopped by {signal.Signals(number).name}")


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:
        return _run(arguments[1:])
    options = _parser().parse_args(arguments)
    match options.command:
        case "score":
            from harness.commands.score import score

            return score(options.run, options.results_dir)
        case "grade":
            from harness.commands.grade import grade

            return grade(options.kind, options.file)
        case "validate":
            from harness.commands.show import validate

            return validate(options.run, options.results_dir)
        case _:
            from harness.commands import show

            commands = {"tasks": show.tasks, "models": show.models, "schema": show.schema}
            return commands[options.command]()


class _Parser(argparse.ArgumentParser):
    """Reports a mistake as every other mistake is reported: one line, exit status 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UserError(f"{message} (harness --help shows the commands)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="harness",
        description="Cross-checks what is claimed of open reasoning models.",
        epilog="harness run --help shows how to run a benchmark. "
        "--debug with any command shows a traceback on errors.",
    )
    parser.add_argument("--version", action="version", version=f"gegenprobe {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_Parser
    )
    commands.add_parser("run", help="run a benchmark", add_help=False)
    for name, text in (
        ("score", "grade a run's completions again, without generating"),
        ("validate", "check a run's files against the schema and each other"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("run", metavar="RUN", help="a run id or a run's folder")
        command.add_argument("--results-dir", type=Path, default=default_results_dir())
    grade = commands.add_parser("grade", help="grade answers made elsewhere")
    grade.add_argument("kind", choices=("math", "python"))
    grade.add_argument(
        "file",
        metavar="FILE.jsonl",
        help="'-' is stdin; each line has an id with output and gold (math), or with program and "
        "perhaps time_limit_s (python)",
    )
    commands.add_parser("tasks", help="list the tasks")
    commands.add_parser("models", help="list the models")
    commands.add_parser("schema", help="print the JSON Schema of result.json")
    return parser


def _run(arguments: list[str]) -> int:
    if "--help" in arguments or "-h" in arguments:
        print(RUN_HELP + _groups(), end="")  # noqa: T201
        return 0
    # Threads of a matrix product that wait by spinning take the CPU from scoring, and from each
    # other where the machine is shared: asleep they lose little alone and win twofold in company.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from harness.compose import compose_and_run

    return compose_and_run(arguments)


def _groups() -> str:
    from harness.paths import CONF_DIR

    lines = ["", "groups (GROUP=CHOICE):"]
    for folder in sorted(path for path in CONF_DIR.iterdir() if path.is_dir()):
        choices = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        lines.append(f"  {folder.name:<11} {choices}")
    return "\n".join(lines) + "\n"
