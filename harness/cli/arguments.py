"""The command line of every command but ``run``, whose arguments Hydra reads."""

import argparse
from pathlib import Path
from typing import TypeAlias

from harness import __version__
from harness.errors import UserError
from harness.io.paths import default_results_dir

INCLUDE = "--include"
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
        raise UserError(f"{message} (harness --help shows the commands)")


def build_parser() -> argparse.ArgumentParser:
    """All commands with their arguments and help."""
    parser = Parser(
        prog="harness",
        description="Cross-checks what is claimed of open reasoning models.",
        epilog="harness run --help shows how to run a benchmark. "
        "--debug with any command shows a traceback on errors.",
    )
    parser.add_argument("--version", action="version", version=f"gegenprobe {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser
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
    commands.add_parser("schema", help="print the JSON Schema of result.json")
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def _add(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.add_argument(
        INCLUDE,
        action="append",
        default=[],
        metavar="DIR",
        help="see what is in the conf/ and tasks/ of this folder too (may be repeated)",
    )
    return command


def _add_results_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument("--results-dir", type=Path, default=default_results_dir())


def _add_on_one_run(commands: Commands) -> None:
    for name, text in (
        ("score", "grade a run's completions again, without generating"),
        ("validate", "check a run's files against the schema and each other"),
        ("rerun", "repeat some requests of a run to see how much chance there is in it"),
    ):
        command = _add(commands, name, text)
        command.add_argument("run", metavar="RUN", help=RUN)
        _add_results_dir(command)
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
    command.add_argument("candidates", metavar="CANDIDATE", nargs="+", help="likewise")
    command.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="POINTS",
        help="percentage points by which a candidate may be worse: exit status 5 when it is "
        "significantly worse than that (default: 0)",
    )
    command.add_argument(
        "--equivalence",
        type=float,
        metavar="POINTS",
        help="test also that the scores are the same within so many points (TOST)",
    )
    command.add_argument(
        "--allow-protocol-mismatch",
        action="append",
        default=[],
        metavar="FIELD",
        help="let this field of the protocol differ, and mark the output (may be repeated)",
    )
    _add_task_of_log(command)
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    _add_results_dir(command)


def _add_claims(commands: Commands) -> None:
    command = _add(commands, "claims", "give a verdict on each claim of a study")
    command.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help=f"{RESULT}; without any, documents and arithmetic alone are asked",
    )
    _add_study(command)
    for name, text in (
        ("article", "only claims of this one: A1, its headline or its author"),
        ("category", "only this category; published scores are benchmark_accuracy"),
        ("verdict", "only this verdict: reproduced, challenged, inconclusive, untested …"),
        ("id", "only this claim, with all its evidence"),
    ):
        command.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar=name.upper(),
            help=f"{text} (may be repeated)",
        )
    command.add_argument(
        "--all", action="store_true", help="print every claim and published score, not a summary"
    )
    shape = command.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="print a list of JSON objects")
    shape.add_argument("--markdown", action="store_true", help="print Markdown")
    _add_results_dir(command)
    command = _add(commands, "derive", "compute what follows from a model's configuration")
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
        help="whose claims: a name in conf/study, or a folder with study.yaml (default: "
        "deepseek_2025, five articles on DeepSeek)",
    )


def _add_check(commands: Commands) -> None:
    command = _add(commands, "check", "say what it takes to reproduce a published figure")
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
        ("model", "the model that the figures are of, where the file does not say it"),
        ("task", "the task to run, where several ask the same problems"),
        ("plan-for", "plan for this machine of conf/machine (h200, rtx4090 …) and not this one"),
    ):
        command.add_argument(f"--{name}", metavar=name.rpartition("-")[2].upper(), help=text)
    command.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="what you know of the figure's protocol: fewshot=0 (may be repeated)",
    )
    command.add_argument(
        "--margin",
        type=float,
        metavar="POINTS",
        help="within so many points a figure counts as reproduced (default: 3, and at most half of "
        "its distance to 0 or 100 %%)",
    )
    command.add_argument("--no-plan", action="store_true", help="leave out what a run would take")
    command.add_argument("--json", action="store_true", help="print a list of JSON objects")
    _add_results_dir(command)


def _add_grade(commands: Commands) -> None:
    command = _add(commands, "grade", "grade answers made elsewhere")
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
        help="which of our tasks another harness's log is about (default: as its own names tell)",
    )


def _add_pages(commands: Commands) -> None:
    command = _add(commands, "report", "write a page about one or more runs, and report.md")
    command.add_argument("runs", metavar="RUN", nargs="+", help=RESULT)
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="where to (default: report/ in the run's folder, or results/reports/ for several)",
    )
    command.add_argument(
        "--plots", action="store_true", help="write each plot as PNG and SVG too; needs Chromium"
    )
    _add_study(command)
    _add_results_dir(command)
    command = _add(commands, "leaderboard", "rank all runs, one list for each protocol")
    for name, text in (
        ("task", "only this task; of a --log whose names leave it open, the one it is about"),
        ("model", "only this model"),
        ("protocol", "only this protocol: its name, or the first digits of its fingerprint"),
    ):
        command.add_argument(
            f"--{name}", action="append", default=[], metavar=name.upper(), help=text
        )
    command.add_argument(
        "--log",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help=f"show the score of {LOGS} too, in no list (may be repeated)",
    )
    command.add_argument("--since", metavar="DATE", help="only runs begun on this day or later")
    command.add_argument("--until", metavar="DATE", help="only runs begun on this day or earlier")
    command.add_argument("--html", type=Path, metavar="FILE", help="write a page; '-' is stdout")
    command.add_argument("--csv", type=Path, metavar="FILE", help="write the rows; '-' is stdout")
    command.add_argument("--parquet", type=Path, metavar="FILE", help="write the rows")
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    command.add_argument(
        "--top", type=int, default=20, metavar="N", help="rows of a list to show (default: 20)"
    )
    command.add_argument(
        "--wide", action="store_true", help="print every column, however long the lines are"
    )
    _add_results_dir(command)


def _add_nightly(commands: Commands) -> None:
    command = _add(commands, "nightly", "run a suite tonight and compare it with earlier nights")
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
    for name, kind, default, metavar, text in (
        ("nights", int, 7, "N", "compare with the median of so many nights"),
        ("margin", float, 2.0, "POINTS", "percentage points by which a share may be worse"),
        ("speed-tolerance", float, 10.0, "PERCENT", "by which speed, tokens and cost may be worse"),
        ("keep", int, 30, "N", "nights whose runs are kept whole; of older ones the result stays"),
        ("max-hours", float, 12.0, "HOURS", "after which one model's run is stopped"),
    ):
        command.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            metavar=metavar,
            help=f"{text} (default: {default:g})",
        )
    command.add_argument(
        "--date", metavar="YYYY-MM-DD", help="the night that this counts as (default: today)"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="print what would be done, load nothing"
    )
    _add_results_dir(command)


def _add_merge(commands: Commands) -> None:
    command = _add(commands, "merge", "join the shards of a run, if none is missing")
    command.add_argument("runs", metavar="RUN", nargs="+", help=RUN)
    _add_results_dir(command)


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
    command.add_argument(
        "--organisation", metavar="NAME", help="eee: who ran the evaluation; required"
    )
    command.add_argument(
        "--evaluator-relationship",
        metavar="KIND",
        help="eee: what they are to the model's makers: first_party, third_party, collaborative or "
        "other; required",
    )
    command.add_argument(
        "--model-id",
        metavar="ORG/NAME",
        help="eee: the model's name on the hub (default: its repository)",
    )
    command.add_argument(
        "--benchmark",
        action="append",
        default=[],
        metavar="TASK=ORG/DATASET:TASK_ID",
        help="eval-results: the hub's benchmark of a task; repeatable",
    )
    command.add_argument(
        "--source-url", metavar="URL", help="eval-results: where the results can be read"
    )
    _add_results_dir(command)


def _add_status(commands: Commands) -> None:
    command = _add(commands, "status", "show how far runs are, without disturbing them")
    command.add_argument(
        "run",
        metavar="RUN|DIR",
        nargs="?",
        help=f"{RUN}, or a folder of runs (default: the newest runs of the results folder)",
    )
    command.add_argument(
        "--follow", action="store_true", help="look again and again until no run is under way"
    )
    command.add_argument(
        "--every", type=float, default=2.0, metavar="SECONDS", help="between looks (default: 2)"
    )
    command.add_argument(
        "--top", type=int, default=20, metavar="N", help="how many runs of a folder (default: 20)"
    )
    command.add_argument("--json", action="store_true", help="print JSON, one line for each look")
    _add_results_dir(command)


def _add_new(commands: Commands) -> None:
    command = _add(commands, "new", "write a task, model … to begin one of your own with")
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
    command = _add(commands, "doctor", "say what this machine can do, and how to mend the rest")
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")
    _add_results_dir(command)


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
