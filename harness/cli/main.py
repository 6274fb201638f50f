"""The command ``harness``: reads the arguments, hands them on, turns an error into one line.

Nothing heavy is imported before it is known to be needed: ``harness --help`` is instant.
"""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from harness.cli.arguments import INCLUDE, build_parser
from harness.cli.overview import START
from harness.errors import HarnessError, Interrupted, UserError
from harness.io.extensions import ENGINES, declared
from harness.io.paths import conf_files, include, includes_restored
from harness.io.printable import printable
from harness.io.redaction import RedactingFormatter, redact
from harness.io.streams import lost_output, safe_streams
from harness.process.interruption import cancel_pending, install_handlers

GROUPS = ("engine", "experiment", "model", "pricing", "protocol", "suite", "tracker")
RUN_HELP = """\
usage: harness run [--dry-run] [--cfg job] [-m] [--include DIR] [KEY=VALUE ...]

Runs a benchmark: composes conf/, generates, scores and writes results/runs/<run_id>/.

  harness run experiment=demo                  a small real model on a CPU, in minutes
  harness run                                  DeepSeek-R1-Distill-Qwen-1.5B, 40 problems
  harness run model=r1_distill_qwen_7b suite=full protocol.samples_per_problem=4
  harness run model=/models/mine tasks=[humaneval,math500:100]
  harness run model=org/name                   any model of the Hugging Face hub
  harness run -m model=r1_distill_qwen_1_5b,r1_distill_qwen_7b
  harness run resume=auto experiment=demo      go on where the same command was stopped

  --dry-run      print the plan and load nothing
  --cfg job      print the composed configuration
  -m             sweep: one run for each combination of comma-separated values
  --include DIR  also use the conf/ and tasks/ of this folder (may be repeated)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit status: see ``errors`` and docs/results.md.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    with safe_streams(redact) as stdout, includes_restored():
        _set_up_logging(debug=debug)
        status = _status_of(arguments, debug=debug)
        if (why := lost_output(stdout)) is not None:
            print(f"harness: stdout cannot be written: {why}", file=sys.stderr)  # noqa: T201
            status = status or HarnessError.exit_status
        return status


def _set_up_logging(*, debug: bool) -> None:
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Lines("harness: %(message)s"))
    logging.basicConfig(handlers=[lines], level=logging.WARNING)
    logging.getLogger("harness").setLevel(logging.DEBUG if debug else logging.INFO)
    # What they warn of, our one-line errors say.
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")  # it sets its level when imported
    logging.getLogger("datasets").setLevel(logging.CRITICAL)


def _status_of(arguments: list[str], *, debug: bool) -> int:
    """Runs the command; an error becomes its line and its exit status."""
    install_handlers()
    try:
        return _dispatch(arguments) if arguments else _show_start()
    except (HarnessError, Interrupted) as error:
        if debug:
            _print_traceback()
        print(printable(redact(f"harness: {error}"), keep="\n"), file=sys.stderr)  # noqa: T201
        return error.exit_status
    except Exception as error:  # noqa: BLE001 - the last door: a line for people, status 1
        if debug:
            _print_traceback()
        text = printable(redact(" ".join(str(error).split())))
        print(  # noqa: T201
            f"harness: unexpected {type(error).__name__}: {text} (--debug shows where)",
            file=sys.stderr,
        )
        return 1
    finally:
        cancel_pending()


class _Lines(RedactingFormatter):
    """Log lines; a file or a model that they name gives the terminal no orders."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return printable(super().format(record), keep="\n\t")


def _print_traceback() -> None:
    print(redact(traceback.format_exc()), file=sys.stderr)  # noqa: T201


def _show_start() -> int:
    print(START, file=sys.stderr)  # noqa: T201
    return UserError.exit_status


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] == ["run"]:
        return _run(arguments[1:])
    options = build_parser().parse_args(arguments)
    include(getattr(options, "include", ()))
    match options.command:
        case "score":
            from harness.cli.score import score

            return score(options.run, options.results_dir)
        case "grade":
            from harness.cli.grade import grade

            return grade(options.kind, options.file, options.task)
        case name:  # a module of its own, with a function of its name
            command = getattr(import_module(f"harness.cli.{name}"), name)
            return int(command(options))


def _run(arguments: list[str]) -> int:
    folders, arguments = _without_includes(arguments)
    include(folders)
    if "--help" in arguments or "-h" in arguments:
        print(RUN_HELP + _groups(), end="")  # noqa: T201
        return 0
    if arguments == ["--composed"]:  # by another process of the harness, on stdin
        from harness.runner.job import job

        return job()

    from harness.runner.compose import compose_and_run

    return compose_and_run(_checked_options(arguments))


def _without_includes(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The folders that ``--include`` names, and the other arguments.

    Raises:
        UserError: One is not named.
    """
    folders: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, has_value, value = argument.partition("=")
        if name != INCLUDE:
            others.append(argument)
            continue
        folder = value if has_value else next(rest, "")
        if not folder:
            raise UserError(f"{INCLUDE}: should be followed by a folder that holds conf/ or tasks/")
        folders.append(folder)
    return folders, others


def _checked_options(arguments: list[str]) -> list[str]:
    """The options that ``run`` has, in front: Hydra takes them anywhere else for other things.

    Raises:
        UserError: An argument is an option that ``run`` does not have.
    """
    options: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        match argument:
            case "--dry-run" | "-m" | "--multirun" | "--resolve":
                options.append(argument)
            case "--cfg" | "--cfg=job":
                what = next(rest, None) if argument == "--cfg" else "job"
                if what not in {"job", "hydra", "all"}:
                    raise UserError(f"--cfg {what or ''}".rstrip() + ": should be --cfg job")
                options += ["--cfg", what]
            case _ if argument.startswith("-"):
                raise UserError(f"{argument}: no such option; {_nearest_option(argument)}")
            case _:
                overrides.append(argument)
    return options + overrides


def _nearest_option(argument: str) -> str:
    import difflib

    if (group := argument.lstrip("-")) in GROUPS:
        return f"choose with {group}=NAME"
    near = difflib.get_close_matches(argument, ("--dry-run", "--multirun", "--cfg", INCLUDE), 1)
    if near:
        return f"did you mean {near[0]}?"
    return "there are --dry-run, --cfg job, -m and --include DIR"


def _groups() -> str:
    lines = ["", "groups (GROUP=CHOICE):"]
    for group in GROUPS:
        added = declared(ENGINES) if group == "engine" else ()
        choices = ", ".join(sorted({*conf_files(group), *added}))
        lines.append(f"  {group:<11} {choices}")
    return "\n".join(lines) + "\n"
