"""The sandbox from outside: its level, its wardens' deaths, its callers, and their clock."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.errors import UnavailableError
from harness.scorers.sandbox import escape_probes as canaries
from harness.scorers.sandbox import level as levels
from harness.scorers.sandbox import watch
from harness.scorers.sandbox.client import WardenClient, WardenFailedError
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.level import LevelReport, require_level, self_test
from harness.scorers.sandbox.pool import Sandbox
from harness.scorers.sandbox.protocol import LEVELS, Level, Limits, Outcome
from harness.scorers.sandbox.runqueue import RunQueue
from harness.scorers.sandbox.watch import Watch
from tests.facts import known, mentions
from tests.unit.as_user import REPOSITORY, UID, command_as_user, environment

ANY = SandboxConfig(min_level="none")
TESTS = "def check(candidate): assert candidate(2) == 4"
RIGHT, WRONG = "def double(x): return 2 * x", "def double(x): return x"


@pytest.fixture(scope="module")
def best() -> LevelReport:
    return require_level(ANY)


def wardens(sandbox: Sandbox) -> list[psutil.Process]:
    return [
        psutil.Process(seat.client._process.pid)
        for seat in sandbox._seats
        if seat.client is not None
    ]


def everybody(sandbox: Sandbox) -> list[psutil.Process]:
    outer = wardens(sandbox)
    return outer + [child for warden in outer for child in warden.children(recursive=True)]


# --- levels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_that_starts_holds_its_canaries(level: Level) -> None:
    try:
        WardenClient(level, Limits()).close()
    except WardenFailedError as error:
        pytest.skip(f"level {level} is not to be had here: {error}")
    assert self_test(level, Limits()) is None


@pytest.mark.parametrize("weak", ["seccomp", "none"])
def test_a_level_that_does_not_hold_is_passed_over(
    weak: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warden pretends to a better level than it has: the canaries must notice."""
    start = WardenClient.__init__

    def pretend(self: WardenClient, level: Level, limits: Limits) -> None:
        start(self, weak if level in ("namespaces", "landlock") else level, limits)

    monkeypatch.setattr(WardenClient, "__init__", pretend)
    monkeypatch.setattr(canaries, "CANARIES", [
        canary for canary in canaries.CANARIES
        # Without a filter these would really fork 600 times and signal this process's parent.
        if canary.promise not in ("forking is bounded", "the warden gets no signal")
    ])  # fmt: skip
    report = levels.find_level(Limits())
    assert report is not None
    assert report.level not in ("namespaces", "landlock")
    assert "unreadable" in dict(report.reasons)["landlock"]
    assert "not landlock: " in report.one_line


def test_too_weak_a_machine_is_refused_with_the_key_and_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        levels, "self_test", lambda level, limits: None if level == "none" else f"no {level}"
    )
    with pytest.raises(UnavailableError) as caught:
        require_level(SandboxConfig())
    message = str(caught.value)
    assert caught.value.exit_status == 3
    assert "\n" not in message
    for part in ("sandbox.min_level=landlock", "offers only none", "no namespaces", "no landlock"):
        assert part in message
    assert require_level(SandboxConfig(min_level="none")).level == "none"


def test_context_names_all_that_a_verdict_depends_on(best: LevelReport) -> None:
    config = SandboxConfig(min_level="none", time_limit_s=3, confirm_passes=False)
    with Sandbox(config, 1, report=best) as sandbox:
        context = sandbox.context()
    assert context["sandbox.level"] == best.level
    assert context["sandbox.time_limit_s"] == "3"
    assert context["sandbox.confirm_passes"] == "false"
    assert context["python"] == ".".join(map(str, sys.version_info[:2]))
    assert all(isinstance(value, str) for value in context.values())


# --- life and death -------------------------------------------------------------------------


def test_nothing_is_left(
    best: LevelReport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o711)
    with Sandbox(ANY, 2, report=best) as sandbox:
        assert sandbox.run_program("open('a', 'w').close()").passed
        processes = everybody(sandbox)
        assert len(processes) >= 2
    assert not psutil.wait_procs(processes, timeout=120)[1]
    assert not list(tmp_path.iterdir())


def new_program(
    sandbox: Sandbox, known: list[psutil.Process], outcome: Future[Outcome]
) -> psutil.Process:
    """The next process that runs a program, as soon as it is there."""
    while True:
        assert not outcome.done(), outcome.result()
        for process in everybody(sandbox):
            if process not in known:
                known.append(process)
                return process
        time.sleep(0.005)


def new_pair(
    sandbox: Sandbox, known: list[psutil.Process], outcome: Future[Outcome]
) -> list[psutil.Process]:
    """The two processes of a confirming run."""
    before: list[psutil.Process] = []
    while True:
        assert not outcome.done(), outcome.result()
        new = [process for process in everybody(sandbox) if process not in known]
        # Seen twice: at one look the program before them may be on the list, ending.
        if len(new) == 2 and new == before:
            return sorted(new, key=lambda process: process.pid)
        before = new
        time.sleep(0.005)


def take_turns(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    """Has the wardens run these, whatever they are asked: the first one waits to be killed."""
    run, left = WardenClient.run, iter(programs)
    monkeypatch.setattr(
        WardenClient, "run", lambda self, job: run(self, replace(job, program=next(left)))
    )


@pytest.mark.parametrize("level", LEVELS)
def test_a_killed_warden_is_replaced_and_its_program_runs_again(
    level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        sandbox = Sandbox(ANY, 1, report=LevelReport(level)).__enter__()
    except WardenFailedError as error:
        pytest.skip(f"level {level} is not to be had here: {error}")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        stack.push(sandbox)
        first = everybody(sandbox)
        take_turns(monkeypatch, "import time; time.sleep(1000)", "")
        outcome = pool.submit(sandbox.run_program, "", time_limit_s=1000)
        running = [new_program(sandbox, [*first], outcome)]
        wardens(sandbox)[0].kill()
        assert outcome.result().passed
        assert wardens(sandbox)[0] not in first
        assert not psutil.wait_procs([*first, *running], timeout=120)[1], "the old ones live on"


ENDLESS = "import time\ndef double(x): time.sleep(1000)"
ENDLESS_APART = """
import sys, time
def double(x):
    if sys._getframe(1).f_code.co_name != "check":
        time.sleep(1000)
    return 2 * x
"""


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("at", [0, 1, 2], ids=["together", "one of two apart", "the other"])
def test_a_program_that_is_killed_from_outside_runs_again(
    level: Level, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel does for want of memory: that must not read as a wrong answer."""
    patient = SandboxConfig(min_level="none", time_limit_s=1000)
    try:
        sandbox = Sandbox(patient, 1, report=LevelReport(level)).__enter__()
    except WardenFailedError as error:
        pytest.skip(f"level {level} is not to be had here: {error}")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        stack.push(sandbox)
        known = everybody(sandbox)
        take_turns(monkeypatch, ENDLESS_APART if at else ENDLESS, RIGHT)
        outcome = pool.submit(sandbox.run_tests, "", TESTS, "double")
        if at:
            new_pair(sandbox, known, outcome)[at - 1].kill()
        else:
            new_program(sandbox, known, outcome).kill()
        assert outcome.result().passed, outcome.result()


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_that_is_killed_twice_got_no_verdict(level: Level) -> None:
    """Where it could have done that itself, it is a crash of its own."""
    try:
        sandbox = Sandbox(ANY, 1, report=LevelReport(level)).__enter__()
    except WardenFailedError as error:
        pytest.skip(f"level {level} is not to be had here: {error}")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        stack.push(sandbox)
        known = everybody(sandbox)
        endless = "import time; time.sleep(1000)"
        found = pool.submit(sandbox.run_program, endless, time_limit_s=1000)
        for _ in range(2):
            new_program(sandbox, known, found).kill()
        if level == "namespaces":
            assert found.result().detail.startswith("error: killed")
        else:
            assert found.result().detail == "crash: killed by SIGKILL"
        suicide = "import os, signal; os.kill(os.getpid(), signal.SIGKILL); os._exit(0)"
        assert sandbox.run_program(suicide).kind == "crash"


@pytest.mark.parametrize("level", LEVELS)
def test_a_killed_harness_takes_wardens_programs_and_folders_along(
    level: Level, tmp_path: Path
) -> None:
    try:
        WardenClient(level, Limits()).close()
    except WardenFailedError as error:
        pytest.skip(f"level {level} is not to be had here: {error}")
    tmp_path.chmod(0o711)
    script = (
        "from harness.scorers.sandbox.pool import Sandbox, SandboxConfig\n"
        "from harness.scorers.sandbox.level import LevelReport\n"
        f"report = LevelReport({level!r})\n"
        "with Sandbox(SandboxConfig(min_level='none'), 1, report=report) as sandbox:\n"
        "    print('ready', flush=True)\n"
        '    program = \'import time; open("a", "w"); time.sleep(1000)\'\n'
        "    sandbox.run_program(program, time_limit_s=1000)\n"
    )
    command = [sys.executable, "-c", script]
    here = {**environment(), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, env=here) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        own = psutil.Process(child.pid)
        depth = 3 if level == "namespaces" else 2
        while len(processes := own.children(recursive=True)) < depth:
            time.sleep(0.01)
        child.kill()
    assert not psutil.wait_procs(processes, timeout=120)[1]
    assert not list(tmp_path.iterdir())


def test_wardens_that_cannot_be_had_are_a_scorer_error(
    best: LevelReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(ANY, 1, report=best) as sandbox:
        client = sandbox._seats[0].client
        assert client is not None
        client._process.kill()
        client._process.wait()  # after that nothing of it runs on
        monkeypatch.setattr("harness.scorers.sandbox.client._interpreter", lambda: ["/bin/false"])
        outcome = sandbox.run_program("x = 1")
        assert outcome.kind == "error"
        assert outcome.detail.startswith("error: the warden")


def test_a_closed_sandbox_starts_nothing_new(best: LevelReport) -> None:
    with Sandbox(ANY, 1, report=best) as sandbox:
        pass
    assert mentions(sandbox.run_program("x = 1").detail, "error: ", "closed")


def test_closing_ends_what_still_runs(best: LevelReport) -> None:
    sandbox = Sandbox(ANY, 1, report=best)
    with sandbox, ThreadPoolExecutor(1) as pool:
        processes = everybody(sandbox)
        outcome = pool.submit(sandbox.run_program, "while True: pass", time_limit_s=1000)
        new_program(sandbox, processes, outcome)
        sandbox.__exit__(None, None, None)
        assert outcome.result().kind == "error"
    assert not psutil.wait_procs(processes, timeout=120)[1]


# --- callers --------------------------------------------------------------------------------


def test_many_threads_get_their_own_answers(best: LevelReport) -> None:
    with Sandbox(ANY, 2, report=best) as sandbox, ThreadPoolExecutor(8) as pool:
        programs = [f"raise ValueError('number {number}')" for number in range(40)]
        details = [outcome.detail for outcome in pool.map(sandbox.run_program, programs)]
    assert details == [f"exception: ValueError: number {number}" for number in range(40)]


def test_programs_of_two_wardens_are_two_users(best: LevelReport) -> None:
    """One user's processes are counted together, against a limit that is meant for one program."""
    if os.geteuid() != 0 or best.level != "namespaces":
        pytest.skip("needs root and namespaces: elsewhere programs may have no user of their own")
    who = "import os; raise ValueError(os.getuid())"
    with Sandbox(ANY, 1, report=best) as one, Sandbox(ANY, 1, report=best) as other:
        seen = {sandbox.run_program(who).detail for sandbox in (one, other)}
    if seen == {"exception: ValueError: 0"}:
        pytest.skip("needs a root that may become another user")
    assert len(seen) == 2, seen
    assert all(detail.startswith("exception: ValueError: 6") for detail in seen), seen


def test_a_sandbox_may_be_opened_by_a_thread_that_ends(best: LevelReport) -> None:
    sandbox = Sandbox(ANY, 1, report=best)
    opener = threading.Thread(target=sandbox.__enter__)
    opener.start()
    opener.join()
    with ExitStack() as stack:
        stack.push(sandbox)
        assert sandbox.run_tests(RIGHT, TESTS, "double").passed


def test_confirming_can_be_switched_off(best: LevelReport) -> None:
    fake = "class A:\n    def __eq__(self, other): return True\ndef double(x): return A()"
    with Sandbox(ANY, 1, report=best) as sandbox:
        assert sandbox.run_tests(fake, TESTS, "double").kind == "unconfirmed"
        assert sandbox.run_tests(WRONG, TESTS, "double").kind == "assertion"
    config = SandboxConfig(min_level="none", confirm_passes=False)
    with Sandbox(config, 1, report=best) as sandbox:
        assert sandbox.run_tests(fake, TESTS, "double").passed


def test_details_name_the_failing_line(best: LevelReport) -> None:
    with Sandbox(ANY, 1, report=best) as sandbox:
        outcome = sandbox.run_tests(WRONG, TESTS, "double")
        assert outcome.detail.endswith("assert candidate(2) == 4")
        outcome = sandbox.run_tests(WRONG, TESTS, "triple")
        assert mentions(outcome.detail, "exception: NameError: ", "triple")


# --- the clock ------------------------------------------------------------------------------

BURN = "import time\nwhile time.process_time() < {}: pass"
NINE_TENTHS = """
while True:
    rest = time.monotonic() + 0.09
    while time.monotonic() < rest: pass
    time.sleep(0.01)
"""


def test_waiting_for_a_cpu_is_not_counted(best: LevelReport) -> None:
    """A program beside a busy one on the same core gets a tenth of it.

    The busy one rests for a tenth of its time: some kernels leave a niced program beside one that
    never rests without the core for minutes, and its warden, who would end it, too.
    """
    core = min(os.sched_getaffinity(0))
    busy = f"import os, time\nos.sched_setaffinity(0, [{core}])\nprint(flush=True)\n{NINE_TENTHS}"
    config = SandboxConfig(min_level="none", time_limit_s=0.5)
    with (
        subprocess.Popen([sys.executable, "-c", busy], stdout=subprocess.PIPE) as hog,
        Sandbox(config, 1, report=best) as sandbox,
    ):
        try:
            assert hog.stdout is not None
            hog.stdout.readline()
            for process in everybody(sandbox):
                process.cpu_affinity([core])
            patient = sandbox.run_program(BURN.format(0.4), time_limit_s=2)
            endless = sandbox.run_program("while True: pass")
        finally:
            hog.kill()
    assert patient.passed, patient
    # Beside more than one busy process it may get less than a sixtieth of the core.
    is_starved = "starved" in endless.detail and known(endless.waited_s) > 0.9 * endless.wall_s
    assert endless.kind == "timeout" or is_starved, endless
    assert endless.wall_s > endless.cpu_s


def test_sleeping_is_counted(best: LevelReport) -> None:
    config = SandboxConfig(min_level="none", time_limit_s=0.5)
    with Sandbox(config, 1, report=best) as sandbox:
        outcome = sandbox.run_program("import time; time.sleep(60)")
    assert outcome.kind == "timeout"
    assert not outcome.is_starved


@pytest.mark.parametrize("kernel_says", [True, False])
def test_where_the_kernel_does_not_say_who_waited_a_sleeper_may_have_been_starved(
    kernel_says: bool,
) -> None:
    """So it runs once more, alone: of a sleeper no more can be known without ``schedstat``."""
    near, far = socket.socketpair()
    proc = os.open("/proc", os.O_RDONLY)
    verdict, report = os.pipe()
    sleeper = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
    try:
        ending = Watch(near, proc if kernel_says else None, None).wait((sleeper,), verdict, 0.1)
    finally:
        for end in (near, far):
            end.close()
        for descriptor in (proc, verdict, report):
            os.close(descriptor)
    assert ending.is_late
    assert ending.status == -signal.SIGKILL
    assert ending.is_starved is not kernel_says
    assert (ending.waited_s is not None) is kernel_says


class WaitedThroughout(RunQueue):
    """Programs that had no CPU so far; the watch itself loses its own while it looks."""

    def __init__(self, start: float) -> None:
        super().__init__(-1, [])
        self.start = start

    def waited_s(self) -> float:
        time.sleep(0.1)
        return time.monotonic() - self.start


def test_a_watch_that_has_to_wait_for_a_cpu_takes_no_time_from_its_program() -> None:
    """The limit for the rest of a failure's text is counted from what the program has used."""
    start = time.monotonic()
    assert watch._used_s(start, WaitedThroughout(start)) >= 0


def test_programs_give_way(best: LevelReport) -> None:
    program = "import os; assert os.getpriority(os.PRIO_PROCESS, 0) == {}"
    own = os.getpriority(os.PRIO_PROCESS, 0)
    with Sandbox(ANY, 1, report=best) as sandbox:
        outcome = sandbox.run_program(program.format(min(own + 10, 19)))
    assert outcome.passed, outcome


# --- an ordinary user -----------------------------------------------------------------------

AS_USER = """
import os, sys
assert os.getuid() == {uid}
from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.level import LevelReport
from harness.scorers.sandbox.client import WardenFailedError
from harness.scorers.sandbox.level import self_test
from harness.scorers.sandbox.pool import Sandbox
from harness.scorers.sandbox.protocol import LEVELS, Limits
for level in LEVELS:
    try:
        with Sandbox(SandboxConfig(min_level="none"), 1, report=LevelReport(level)) as sandbox:
            assert sandbox.run_tests({right!r}, {tests!r}, "double").passed
            assert sandbox.run_tests({wrong!r}, {tests!r}, "double").kind == "assertion"
    except WardenFailedError as error:
        print(level, "unavailable:", error)
        continue
    print(level, self_test(level, Limits()))
"""


def test_an_ordinary_user_is_protected_as_well() -> None:
    """As another user, for whom a private mount namespace makes this Python readable."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else; the other tests ran as an ordinary user")
    program = AS_USER.format(uid=UID, right=RIGHT, wrong=WRONG, tests=TESTS)
    done = subprocess.run(
        command_as_user(program),
        capture_output=True,
        text=True,
        cwd="/",
        env=environment(),
        check=False,
        timeout=300,
    )
    if "unshare: " in done.stderr:
        pytest.skip(f"needs a private mount namespace: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert list(lines) == list(LEVELS)
    for level, verdict in lines.items():
        assert verdict == "None" or verdict.startswith("unavailable"), f"{level}: {verdict}"
    assert lines["seccomp"] == lines["none"] == "None"


def test_a_job_survives_the_wire() -> None:
    """Lone surrogates, null bytes and a megabyte of text, there and back."""
    with Sandbox(ANY, 1, report=LevelReport("none")) as sandbox:
        text = "\udc80\0ℵ\n" * 200_000
        outcome = sandbox.run_program(f"assert len({text!r}) == {len(text)}")
    assert outcome.passed, outcome
