"""The command line of every command but ``run``, whose arguments Hydra reads."""

import argparse
from pathlib import Path
from typing import TypeAlias

from harness import __version__
from harness.cli.overview import by_purpose, with_example
from harness.errors import UserError
from harness.io.paths import default_results_dir

INCLUDE = "--include"
_DESCRIPTION = "Measures local models, and checks published claims about them."
_WITHOUT_FOLDERS = frozenset({"schema", "completion"})
_WITHOUT_RESULTS = frozenset({"derive", "grade", "new", "tasks", "models"})
RUN = "a run id or a run's folder"
RESULT = "a run id, a run's folder or a result.json"
LOGS = (
    "a log of lm-evaluation-harness (samples_*.jsonl), evalplus (*_eval_results.json), Inspect "
    "(.eval), evalscope (its folder, or a file of reviews/) or Every Eval Ever"
)


class Parser(argparse.ArgumentParser):
    """Reports a mistake as every other mistake is reported: one line, exit status 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raises it as a UserError."""
        raise UserError(f"{message}; {self.prog} --help shows what there is")


def build_parser() -> argparse.ArgumentParser:
    """All commands with their arguments and help."""
    parser = Parser(
        prog="harness",
        usage="harness COMMAND [ARGUMENT ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="harness COMMAND --help explains a command; --debug with any command shows a\n"
        "traceback on errors.",
    )
    parser.add_argument("--version", action="version", version=f"gegenprobe {__version__}")
    commands = parser.add_subparsers(
        dest="command",
        required=True,
        metavar="COMMAND",
        parser_class=Parser,
        prog="harness",
        help=argparse.SUPPRESS,
    )
    commands.add_parser("run", help="run a benchmark", add_help=False)
    _add_on_one_run(commands)
    _add_compare(commands)
    _add_claims(commands)
    _add_check(commands)
    _add_pages(commands)
    _add_nightly(commands)
    _add_merge(commands)
    _add_export(commands)
    _add_grade(commands)
    _add_status(commands)
    _add_doctor(commands)
    _add_completion(commands, parser)
    _add_new(commands)
    _add(commands, "tasks", "list the tasks")
    _add(commands, "models", "list the models")
    _add(commands, "schema", "print the JSON Schema of result.json")
    texts = {each.dest: each.help for each in commands._get_subactions()}
    parser.description = f"{_DESCRIPTION}\n\n{by_purpose(texts)}"
    for name, command in commands.choices.items():
        if name != "run":  # it writes its own help
            _add_folders(name, command)
            with_example(name, command)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def _add(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def _add_folders(name: str, command: argparse.ArgumentParser) -> None:
    """Where a command finds what it reads, after its own options."""
    if name in _WITHOUT_FOLDERS:
        return
    folders = command.add_argument_group("folders")
    folders.add_argument(
        INCLUDE,
        action="append",
        default=[],
        metavar="DIR",
        help="also use the conf/ and tasks/ of this folder (may be repeated)",
    )
    if name not in _WITHOUT_RESULTS:
        folders.add_argument(
            "--results-dir",
            type=Path,
            default=default_results_dir(),
            metavar="DIR",
            help="where the runs are (default: results)",
        )


def _add_on_one_run(commands: Commands) -> None:
    for name, text in (
        ("score", "grade a run's completions again, without generating"),
        ("validate", "check a run's files against the schema and each other"),
        ("rerun", "repeat some requests of a run to measure run-to-run noise"),
    ):
        command = _add(commands, name, text)
        command.add_argument("run", metavar="RUN", help=RUN)
        if name == "rerun":
            _add_rerun(command)


def _add_rerun(command: argparse.ArgumentParser) -> None:
    command.add_argument("--n", type=int, default=20, help="requests to repeat (default: 20)")
    command.add_argument(
        "--batch-size",
        type=int,
        help="how many run at once (default: another number than the run's own)",
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _add_compare(commands: Commands) -> None:
    command = _add(commands, "compare", "compare runs problem by problem")
    command.add_argument("baseline", metavar="BASELINE", help=f"{RESULT}; also {LOGS}")
    command.add_argument(
        "candidates", metavar="CANDIDATE", nargs="+", help="runs or logs to compare with it"
    )
    test = command.add_argument_group("test")
    test.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="POINTS",
        help="percentage points by which a candidate may be worse: exit status 5 when it is "
        "significantly worse than that (default: 0)",
    )
    test.add_argument(
        "--equivalence",
        type=float,
        metavar="POINTS",
        help="also test that the scores are equal within this many points (TOST)",
    )
    test.add_argument(
        "--allow-protocol-mismatch",
        action="append",
        default=[],
        metavar="FIELD",
        help="compare although this field of the protocol differs (may be repeated)",
    )
    _add_task_of_log(command)
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_claims(commands: Commands) -> None:
    command = _add(commands, "claims", "give a verdict on each claim of a study")
    command.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help=f"{RESULT}; without runs, documents and arithmetic alone decide",
    )
    _add_study(command)
    chosen = command.add_argument_group("which claims")
    for name, text in (
        ("article", "only claims of this one: A1, its headline or its author"),
        ("category", "only this category; published scores are benchmark_accuracy"),
        ("verdict", "only this verdict: reproduced, challenged, inconclusive, untested …"),
        ("id", "only this claim, with all its evidence"),
    ):
        chosen.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"{text} (may be repeated)",
        )
    output = command.add_argument_group("output")
    output.add_argument(
        "--all", action="store_true", help="print every claim and published score, not a summary"
    )
    shape = output.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print a list of JSON objects")
    shape.add_argument("--markdown", action="store_true", help="print Markdown")
    command = _add(
        commands, "derive", "compute sizes, speeds and costs from a model's configuration"
    )
    what = command.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "model", metavar="MODEL", nargs="?", help="such as V3; an unknown name lists all"
    )
    what.add_argument(
        "--study", metavar="STUDY", help="list what a study's documents print, and what follows"
    )
    command.add_argument("--against", metavar="MODEL", help="a second model, and the ratios")
    command.add_argument(
        "--context", type=int, default=32_768, metavar="TOKENS", help="(default: 32768)"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_study(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--study",
        metavar="STUDY",
        help="the study: a name in conf/study, or a folder with study.yaml (default: "
        "deepseek_2025, five articles on DeepSeek)",
    )


def _add_check(commands: Commands) -> None:
    command = _add(commands, "check", "show what it takes to reproduce a published figure")
    command.add_argument(
        "target",
        metavar="TARGET",
        help="a model card (README.md), .eval_results YAML or its folder, a model's folder, a file "
        "of Every Eval Ever, or a table of a study",
    )
    command.add_argument(
        "--runs",
        nargs="+",
        default=[],
        metavar="RUN",
        help=f"{RESULT}; judges the figures (default: every finished run of --results-dir)",
    )
    for name, text in (
        ("model", "the figures' model, if the file does not name it"),
        ("task", "the task to run, if several use the same problems"),
        ("plan-for", "plan for a machine of conf/machine (h200, rtx4090 …), not for this one"),
    ):
        command.add_argument(f"--{name}", metavar=name.rpartition("-")[2].upper(), help=text)
    command.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="a setting that the file does not state: fewshot=0 (may be repeated)",
    )
    command.add_argument(
        "--margin",
        type=float,
        metavar="POINTS",
        help="a figure is reproduced within this many points (default: 3, and at most half of "
        "its distance to 0 or 100 %%)",
    )
    command.add_argument("--no-plan", action="store_true", help="leave out what a run would take")
    command.add_argument("--json", action="store_true", help="print a list of JSON objects")


def _add_grade(commands: Commands) -> None:
    command = _add(commands, "grade", "grade answers that were generated elsewhere")
    command.add_argument("kind", choices=("math", "python"))
    command.add_argument(
        "file",
        metavar="FILE.jsonl",
        help="'-' is stdin; each line has an id with output and gold (math), or with program and "
        f"perhaps time_limit_s (python); also {LOGS}",
    )
    _add_task_of_log(command)


def _add_task_of_log(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--task",
        metavar="NAME",
        help="our task that another harness's log is about (default: by the names in the log)",
    )


def _add_pages(commands: Commands) -> None:
    command = _add(commands, "report", "write an HTML page and report.md of one or more runs")
    command.add_argument("runs", metavar="RUN", nargs="+", help=RESULT)
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="default: report/ in the run's folder; results/reports/ for several runs",
    )
    command.add_argument(
        "--plots", action="store_true", help="write each plot as PNG and SVG too; needs Chromium"
    )
    _add_study(command)
    command = _add(commands, "leaderboard", "rank all runs, one list for each task and protocol")
    chosen = command.add_argument_group("which runs")
    for name, text in (
        ("task", "only this task; of a --log whose names leave it open, the one it is about"),
        ("model", "only this model"),
        ("protocol", "only this protocol: its name, or the first digits of its fingerprint"),
    ):
        chosen.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=text
        )
    chosen.add_argument(
        "--log",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=f"also show the score of {LOGS}, outside the lists (may be repeated)",
    )
    chosen.add_argument("--since", metavar="DATE", help="only runs that began on this day or later")
    chosen.add_argument(
        "--until", metavar="DATE", help="only runs that began on this day or earlier"
    )
    output = command.add_argument_group("output")
    output.add_argument("--html", type=Path, metavar="FILE", help="write a page; '-' is stdout")
    output.add_argument("--csv", type=Path, metavar="FILE", help="write the rows; '-' is stdout")
    output.add_argument("--parquet", type=Path, metavar="FILE", help="write the rows")
    output.add_argument("--json", action="store_true", help="print JSON instead of tables")
    output.add_argument(
        "--top", type=int, default=20, metavar="N", help="rows of a list to show (default: 20)"
    )
    output.add_argument(
        "--wide", action="store_true", help="print every column, however long the lines are"
    )


def _add_nightly(commands: Commands) -> None:
    command = _add(commands, "nightly", "run a suite now and compare it with earlier nights")
    command.add_argument(
        "overrides",
        metavar="KEY=VALUE",
        nargs="*",
        help="as for harness run; several values, as in model=a,b, are run one after the other "
        "(default: experiment=nightly)",
    )
    command.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="RUN",
        help=f"{RESULT} that accuracy is compared with, one for each model (default: one of "
        "results/baselines with the same model and protocol, if there is any)",
    )
    limits = command.add_argument_group("comparison and limits")
    for name, kind, default, metavar, text in (
        ("nights", int, 7, "N", "compare with the median of this many nights"),
        (
            "margin",
            float,
            2.0,
            "POINTS",
            "percentage points by which accuracy or another share may be worse",
        ),
        ("speed-tolerance", float, 10.0, "PERCENT", "how much worse speed, tokens and cost may be"),
        ("keep", int, 30, "N", "nights whose runs are kept whole; of older nights only the result"),
        ("max-hours", float, 12.0, "HOURS", "stop a model's run after this time"),
    ):
        limits.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            metavar=metavar,
            help=f"{text} (default: {default:g})",
        )
    command.add_argument(
        "--date", metavar="YYYY-MM-DD", help="count the run as this night's (default: today)"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="print what would be done, load nothing"
    )


def _add_merge(commands: Commands) -> None:
    command = _add(commands, "merge", "join the shards of a run into one result")
    command.add_argument("runs", metavar="RUN", nargs="+", help=RUN)


def _add_export(commands: Commands) -> None:
    command = _add(commands, "export", "write a result in another project's format")
    formats = ("eee", "eval-results", "inspect", "lm-eval", "model-index")
    command.add_argument("format", choices=formats)
    command.add_argument("runs", metavar="RUN", nargs="+", help=RESULT)
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE|DIR",
        help="the file (default: stdout); of eee and inspect the folder (default: this one)",
    )
    eee = command.add_argument_group("only for eee (Every Eval Ever)")
    eee.add_argument("--organisation", metavar="NAME", help="who ran the evaluation; required")
    eee.add_argument(
        "--evaluator-relationship",
        metavar="KIND",
        help="their relation to the model's makers: first_party, third_party, collaborative or "
        "other; required",
    )
    eee.add_argument(
        "--model-id",
        metavar="ORG/NAME",
        help="the model's name on the hub (default: its repository)",
    )
    hub = command.add_argument_group("only for eval-results")
    hub.add_argument(
        "--benchmark",
        action="append",
        default=[],
        metavar="TASK=ORG/DATASET:TASK_ID",
        help="the hub's benchmark of a task (may be repeated)",
    )
    hub.add_argument("--source-url", metavar="URL", help="where the results can be read")


def _add_status(commands: Commands) -> None:
    command = _add(commands, "status", "show the progress of runs")
    command.add_argument(
        "run",
        metavar="RUN|DIR",
        nargs="?",
        help=f"{RUN}, or a folder of runs (default: the newest runs of the results folder)",
    )
    command.add_argument(
        "--follow", action="store_true", help="keep printing until no run is under way"
    )
    command.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between looks (default: 2)"
    )
    command.add_argument(
        "--top", type=int, default=20, metavar="N", help="how many runs of a folder (default: 20)"
    )
    command.add_argument("--json", action="store_true", help="print JSON, one line for each look")


def _add_new(commands: Commands) -> None:
    command = _add(
        commands, "new", "write a first task, model, engine, scorer or study of your own"
    )
    command.add_argument("kind", choices=("task", "model", "engine", "scorer", "study"))
    command.add_argument("name", metavar="NAME", help="small letters, digits and _")
    command.add_argument(
        "--dir",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder to write into (default: the working directory)",
    )


def _add_doctor(commands: Commands) -> None:
    command = _add(commands, "doctor", "show what this machine can run, and fixes for the rest")
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _add_completion(commands: Commands, parser: Parser) -> None:
    command = commands.add_parser(
        "completion",
        help="print a shell's completion script",
        description='Prints what a shell loads: eval "$(harness completion bash)", likewise zsh; '
        "harness completion fish | source.",
    )
    command.add_argument("shell", choices=("bash", "zsh", "fish", "words"))
    # For the scripts alone: the line up to the cursor, and the marks that readline splits at; each
    # behind a plus, so that it is no option of ours.
    command.add_argument("line", nargs="?", help=argparse.SUPPRESS)
    command.add_argument("--breaks", default="", help=argparse.SUPPRESS)
    command.set_defaults(parser=parser)
