"""Every class of attack on the sandbox, as data: the program, and how it must end.

Cheats want a false pass of ``double(2) == 4``; hogs want all of a resource, or to last; thieves
want what is not their own. A level that does not promise a property is not asked for it. The
tests run all of this, and ``scripts/attacks`` prints it.
"""

import os
import socket
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.scorers.sandbox.config import SandboxConfig
from harness.scorers.sandbox.level import LevelReport
from harness.scorers.sandbox.pool import Sandbox
from harness.scorers.sandbox.protocol import LEVELS, Level, Outcome

QUICK_S = 0.3
"""For programs that may end by their time limit; all others have far more than they need."""
MEMORY_BYTES = 256 << 20
TESTS = textwrap.dedent(
    """
    def check(candidate):
        assert candidate(2) == 4
        assert candidate(-3) == -6
        assert abs(candidate(5) - 10) < 0.1
        assert len([candidate(1)]) == 1
    """
)


@dataclass(frozen=True)
class Case:
    name: str
    program: str
    ends: str
    """The class of the outcome; several, separated by ``|``, where the level decides."""
    weakest: Level = "seccomp"

    def is_promised_by(self, level: Level) -> bool:
        """Whether a level promises to stop it."""
        return LEVELS.index(level) <= LEVELS.index(self.weakest)


def sandbox_at(level: Level) -> Sandbox:
    """A sandbox of that level and no other, small enough to be filled quickly."""
    config = SandboxConfig(min_level="none", time_limit_s=60, memory_bytes=MEMORY_BYTES)
    return Sandbox(config, 1, report=LevelReport(level))


# --- cheats: a wrong answer that wants to be called right ------------------------------------

WRONG = "def double(x): return 0\n"

CHEATS = [
    # ends before the tests do
    Case("sys.exit(0)", "import sys; sys.exit(0)", "exception", "none"),
    Case("raise SystemExit", "def double(x): raise SystemExit(0)", "exception", "none"),
    Case("os._exit(0)", "import os; os._exit(0)", "crash", "none"),
    Case("os._exit(0) in the call", "import os\ndef double(x): os._exit(0)", "crash", "none"),
    Case(
        "exit through the C library",
        "import ctypes\ndef double(x): ctypes.CDLL(None)._exit(0)",
        "crash",
        "none",
    ),
    Case(
        "exit from a thread",
        "import os, threading, time\n"
        "threading.Timer(0.05, os._exit, [0]).start()\n"
        "def double(x): time.sleep(30)",
        "crash",
        "none",
    ),
    Case(
        "exec of a program that succeeds",
        "import os\ndef double(x): os.execv('/bin/true', ['true'])",
        "forbidden|exception",
    ),
    Case("KeyboardInterrupt", "def double(x): raise KeyboardInterrupt", "exception", "none"),
    Case("GeneratorExit", "raise GeneratorExit", "exception", "none"),
    # hooks that run later
    Case(
        "atexit", f"import atexit, os; atexit.register(os._exit, 0)\n{WRONG}", "assertion", "none"
    ),
    Case(
        "excepthook",
        f"import os, sys; sys.excepthook = lambda *a: os._exit(0)\n{WRONG}",
        "assertion",
        "none",
    ),
    Case(
        "__del__",
        f"import os\nclass A:\n    def __del__(self): os._exit(0)\na = A()\n{WRONG}",
        "assertion",
        "none",
    ),
    # what other checkers look at
    Case("printing 'passed'", f"print('passed' * 9, flush=True)\n{WRONG}", "assertion", "none"),
    Case(
        "writing a verdict to every descriptor",
        "import os\n"
        "for fd in range(3, 256):\n"
        "    try: os.write(fd, b'P' + b'0' * 32)\n"
        f"    except OSError: pass\n{WRONG}",
        "forbidden",
        "none",
    ),
    Case(
        "closing every descriptor",
        f"import os; os.closerange(0, 256)\n{WRONG}",
        "exception|crash",
        "none",
    ),
    Case(
        "flooding the verdict's pipe",
        "import os, threading\n"
        "def flood():\n"
        "    while True: os.write(3, b'P' * 65536)\n"
        "threading.Thread(target=flood, daemon=True).start()\n"
        f"import time; time.sleep(30)\n{WRONG}",
        "forbidden",
        "none",
    ),
    Case("PYTHONOPTIMIZE", f"import sys; sys.flags\n{WRONG}", "assertion", "none"),
    # tampering with names that a checker uses
    Case(
        "os.write and os._exit replaced",
        "import os\nos.write = lambda fd, text: len(text)\nos._exit = lambda status: None\n"
        + WRONG,
        "assertion",
        "none",
    ),
    Case(
        "exec replaced",
        "import builtins\nbuiltins.exec = lambda *a, **k: None\n" + WRONG,
        "assertion",
        "none",
    ),
    Case(
        "compile replaced",
        "import builtins\nreal = compile\n"
        "builtins.compile = lambda source, *a, **k: real('def check(f): pass', *a, **k)\n" + WRONG,
        "assertion",
        "none",
    ),
    Case("own check", f"{WRONG}def check(candidate): pass", "assertion", "none"),
    Case(
        "AssertionError replaced",
        "import builtins\nclass Fine(Exception): pass\nbuiltins.AssertionError = Fine\n" + WRONG,
        "assertion|exception",
        "none",
    ),
    Case(
        "an exception whose message exits",
        "import os\nclass Sly(Exception):\n    def __str__(self): os._exit(0)\nraise Sly",
        "exception",
        "none",
    ),
    Case(
        "an exception whose message never ends",
        "class Slow(Exception):\n    def __str__(self):\n        while True: pass\nraise Slow",
        "exception",
        "none",
    ),
    Case("a message of 50 MB", "raise ValueError('x' * 50_000_000)", "exception", "none"),
    Case("no such function", "def triple(x): return 3 * x", "exception", "none"),
    Case("syntax error", "def double(x) return", "exception", "none"),
    Case("a null byte", "def double(x): return '\0'", "exception", "none"),
    Case("a lone surrogate", "def double(x): return '\ud800'", "exception|assertion", "none"),
    # passes in its own process, as in every checker that runs it with its tests: found out apart
    Case(
        "always equal",
        "class Any:\n"
        "    def __eq__(self, other): return True\n"
        "    def __sub__(self, other): return 0\n"
        "def double(x): return Any()",
        "unconfirmed",
        "none",
    ),
    Case(
        "patched abs and equality of a subclass",
        "class Int(int):\n"
        "    def __eq__(self, other): return True\n"
        "    def __sub__(self, other): return 0\n"
        "def double(x): return Int(0)",
        "unconfirmed",
        "none",
    ),
    Case(
        "tracing that jumps over the asserts",
        "import sys\n"
        "def tracer(frame, event, arg):\n"
        "    if frame.f_code.co_name == 'check':\n"
        "        if event == 'line':\n"
        "            last = max(line for *_, line in frame.f_code.co_lines() if line)\n"
        "            if frame.f_lineno == frame.f_code.co_firstlineno + 1:\n"
        "                frame.f_lineno = last\n"
        "        return tracer\n"
        "sys.settrace(tracer)\n"
        "def double(x): return 0",
        "unconfirmed",
        "none",
    ),
    Case(
        "the one-time code read from the frames",
        "import gc, os, sys\n"
        "def double(x):\n"
        "    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for value in list(frame.f_locals.values()):\n"
        "            if type(value) is bytes and len(value) == 32:\n"
        "                os.write(3, b'P' + value)\n"
        "                os._exit(0)\n"
        "        frame = frame.f_back\n",
        "unconfirmed",
        "none",
    ),
    Case(
        "the tests' code replaced from within",
        "import sys\n"
        "def double(x):\n"
        "    check = sys._getframe(1).f_globals['check']\n"
        "    if check.__code__.co_name == 'check':\n"
        "        raise_free = (lambda candidate: None).__code__\n"
        "        check.__code__ = raise_free\n"
        "    return [0, 4, -6, 10][{2: 1, -3: 2, 5: 3}.get(x, 0)] if x != 1 else Nothing()\n"
        "class Nothing: pass\n",
        "unconfirmed",
        "none",
    ),
    Case(
        "always equal, apart: silent death",
        "import os, sys\n"
        "def double(x):\n"
        "    if sys._getframe(1).f_code.co_name != 'check': os._exit(0)\n"
        "    return 2 * x",
        "unconfirmed",
        "none",
    ),
    Case(
        "always equal, apart: nonsense on the channel",
        "import os, sys\n"
        "def double(x):\n"
        "    if sys._getframe(1).f_code.co_name != 'check':\n"
        "        os.write(4, b'\\xff' * 8)\n"
        "    return 2 * x",
        "unconfirmed",
        "none",
    ),
    Case(
        "always equal, apart: a deeply nested reply",
        "import os, sys\n"
        "def double(x):\n"
        "    if sys._getframe(1).f_code.co_name != 'check':\n"
        "        body = b'[' * 500_000\n"
        "        os.write(4, len(body).to_bytes(8, 'big'))\n"
        "        while body: body = body[os.write(4, body):]\n"
        "    return 2 * x",
        "unconfirmed",
        "none",
    ),
]


def try_cheat(sandbox: Sandbox, case: Case) -> Outcome:
    """Lets it try to be called right."""
    return sandbox.run_tests(case.program, TESTS, "double")


# --- resources: a program that wants all of something ---------------------------------------

HOGS = [
    Case("endless loop", "while True: pass", "timeout", "none"),
    Case("endless sleep", "import time; time.sleep(1000)", "timeout", "none"),
    Case("waiting for input", "input()", "exception", "none"),
    Case(
        "endless loop that catches everything",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "timeout",
        "none",
    ),
    Case(
        "all signals ignored",
        "import signal\n"
        "for number in signal.valid_signals():\n"
        "    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "while True: pass",
        "timeout",
        "none",
    ),
    Case(
        "catastrophic pattern", "import re; re.match('(a+)+$', 'a' * 40 + 'b')", "timeout", "none"
    ),
    Case("a number too large to finish", "9 ** 9 ** 9 % 7", "timeout|memory", "none"),
    Case("8 GB at once", "x = bytearray(8 << 30)", "memory", "none"),
    Case("8 GB of numbers", "import numpy; x = numpy.ones(1 << 30)", "memory", "none"),
    Case("8 GB in pieces", "x = []\nwhile True: x.append(bytes(1 << 24))", "memory", "none"),
    Case("a list without end", "x = [0]\nwhile True: x += x", "memory", "none"),
    Case(
        "memory by a memory file",
        "import os\nfd = os.memfd_create('x')\nfor _ in range(64): os.write(fd, bytes(1 << 26))",
        "exception",
    ),
    Case(
        "shared memory",
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "assert libc.shmget(0, 1 << 20, 0o1600) == -1",
        "passed",
    ),
    Case(
        "threads without end",
        "import threading, time\n"
        "def wait(): time.sleep(100)\n"
        "while True: threading.Thread(target=wait, daemon=True).start()",
        "exception|memory",
        "none",
    ),
    Case("fork bomb", "import os\nwhile True: os.fork()", "forbidden"),
    Case("subprocess", "import subprocess; subprocess.run(['/bin/true'])", "forbidden|exception"),
    Case(
        "multiprocessing",
        "import multiprocessing as m\np = m.get_context('fork').Process(target=print)\np.start()",
        "forbidden|exception",
    ),
    Case("os.system", "import os; assert os.system('true') == 0", "assertion|forbidden"),
    Case(
        "one large file",
        "with open('a', 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
        "exception",
        "none",
    ),
    Case(
        "many files",
        "import itertools\nfor i in itertools.count():\n"
        "    with open(str(i), 'wb') as f: f.write(bytes(1 << 20))",
        "exception|forbidden|timeout",
        "none",
    ),
    Case(
        "empty files without end",
        "import itertools\nfor i in itertools.count(): open(str(i), 'w').close()",
        "exception|forbidden|timeout",
        "none",
    ),
    Case("descriptors without end", "import os\nwhile True: os.dup(0)", "exception", "none"),
    Case("output without end", "while True: print('x' * 100000)", "timeout", "none"),
    Case("endless recursion", "def f(): f()\nf()", "exception", "none"),
    Case(
        "recursion down to the end of the stack",
        "import sys\nsys.setrecursionlimit(10 ** 9)\n"
        "class A:\n    def __getattr__(self, name): return getattr(self, name + 'x')\nA().x",
        "crash|memory|timeout|exception",
        "none",
    ),
    Case("segmentation fault", "import ctypes; ctypes.string_at(0)", "crash", "none"),
    Case("abort", "import os; os.abort()", "crash", "none"),
    Case("nesting that breaks the compiler", "(" * 100_000, "exception|memory|crash", "none"),
    Case(
        "a bomb for the compiler",
        "x = ((1 << 999999) ** 99999,) * 9",
        "timeout|memory|exception",
        "none",
    ),
]


def try_hog(sandbox: Sandbox, case: Case) -> Outcome:
    """Lets it try to take all that there is."""
    is_endless = "timeout" in case.ends.split("|")
    return sandbox.run_program(case.program, time_limit_s=QUICK_S if is_endless else None)


# --- harm: a program that wants what is not its own -----------------------------------------

_ATTEMPTS: list[tuple[str, str, Level]] = [
    ("a file of the user's is read", "open(SECRET).read()", "landlock"),
    ("a file of the user's is written", "open(SECRET, 'w')", "landlock"),
    ("a file of the user's is appended to", "open(SECRET, 'a')", "landlock"),
    ("a file of the user's is truncated", "os.truncate(SECRET, 0)", "landlock"),
    ("opened for reading and truncated", "os.open(SECRET, os.O_RDONLY | os.O_TRUNC)", "landlock"),
    ("a file of the user's is removed", "os.unlink(SECRET)", "landlock"),
    ("a file of the user's is renamed", "os.rename(SECRET, SECRET + '2')", "landlock"),
    (
        "a file is moved out of the work folder",
        "open('a', 'w'); os.rename('a', FOLDER + '/a')",
        "landlock",
    ),
    ("a link to a file of the user's", "os.link(SECRET, 'b')", "landlock"),
    ("a link is followed", "os.symlink(SECRET, 'c'); open('c').read()", "landlock"),
    ("a file appears beside it", "open(FOLDER + '/new', 'w')", "landlock"),
    ("a folder is made beside it", "os.mkdir(FOLDER + '/new')", "landlock"),
    ("the folder is listed", "os.listdir(FOLDER)", "landlock"),
    ("the passwords are read", "open('/etc/passwd').read()", "landlock"),
    ("the home folder is listed", "os.listdir('/root'); os.listdir('/home')", "landlock"),
    ("the processes are listed", "os.listdir('/proc')", "landlock"),
    ("the harness's environment is read", "open(f'/proc/{HARNESS}/environ').read()", "landlock"),
    ("the harness's memory is opened", "open(f'/proc/{HARNESS}/mem', 'rb')", "landlock"),
    ("the parent's memory is opened", "open(f'/proc/{os.getppid()}/mem', 'rb')", "seccomp"),
    ("the parent's memory is changed", "open(f'/proc/{os.getppid()}/mem', 'r+b')", "seccomp"),
    ("the parent's environment is read", "open(f'/proc/{os.getppid()}/environ').read()", "seccomp"),
    ("the parent's descriptors are opened", "open(f'/proc/{os.getppid()}/fd/0')", "seccomp"),
    ("the harness is held by a descriptor", "os.pidfd_open(HARNESS)", "seccomp"),
    ("kernel keys are read", "libc('syscall', 250, 0, -3, 0)", "seccomp"),
    ("page faults are handled", "libc('syscall', 323, 0)", "seccomp"),
    ("performance is watched", "libc('syscall', 298, 0, 0, -1, -1, 0)", "seccomp"),
    ("a file is opened by its handle", "libc('syscall', 304, -100, 0, 0)", "seccomp"),
    ("the standard library is changed", "open(os.__file__, 'a')", "landlock"),
    ("numpy is changed", "import numpy; open(numpy.__file__, 'a')", "landlock"),
    (
        "a library is put into numpy",
        "import numpy; open('a', 'w'); os.rename('a', os.path.dirname(numpy.__file__) + '/x.so')",
        "landlock",
    ),
    (
        "what is installed beside numpy is read",
        "import numpy; open(os.path.dirname(numpy.__file__) + '/../pydantic/__init__.py')",
        "landlock",
    ),
    (
        "a folder beside numpy is listed",
        "import numpy; os.listdir(os.path.dirname(numpy.__file__) + '/../pydantic')",
        "landlock",
    ),
    ("a connection is made", "socket.create_connection(('127.0.0.1', PORT), timeout=1)", "seccomp"),
    ("a datagram is sent", "socket.socket(type=socket.SOCK_DGRAM)", "seccomp"),
    ("a socket of the host is used", "socket.socket(socket.AF_UNIX)", "seccomp"),
    ("a raw packet is sent", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "seccomp"),
    ("a port is opened", "socket.create_server(('127.0.0.1', 0))", "seccomp"),
    ("the harness is signalled", "os.kill(HARNESS, 0)", "seccomp"),
    ("the warden is signalled", "os.kill(os.getppid(), signal.SIGKILL)", "seccomp"),
    ("everybody is signalled", "os.kill(-1, signal.SIGKILL)", "seccomp"),
    ("the own group is signalled", "os.kill(0, signal.SIGTERM)", "seccomp"),
    ("a session is begun", "os.setsid()", "seccomp"),
    ("another process is traced", "libc('ptrace', 16, HARNESS, 0, 0)", "seccomp"),
    ("another process is read", "libc('process_vm_readv', HARNESS, 0, 0, 0, 0, 0)", "seccomp"),
    ("a user namespace is made", "libc('unshare', 0x10000000)", "seccomp"),
    ("something is mounted", "libc('mount', b'x', b'.', b'tmpfs', 0, 0)", "seccomp"),
    ("the root is changed", "os.chroot('.')", "seccomp"),
    ("the clock is set", "time.clock_settime(time.CLOCK_REALTIME, 0)", "seccomp"),
    ("the host is renamed", "socket.sethostname('x')", "seccomp"),
    ("the death signal is unset", "libc('prctl', 1, 0, 0, 0, 0)", "seccomp"),
    ("the user is changed", "os.setuid(0 if os.getuid() else 1)", "seccomp"),
    ("limits are raised", "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "seccomp"),
    (
        "limits of others are changed",
        "resource.prlimit(HARNESS, resource.RLIMIT_CORE, (0, 0))",
        "seccomp",
    ),
    ("others are slowed down", "os.setpriority(os.PRIO_USER, 0, 19)", "seccomp"),
    ("a device is made", "os.mknod('d', 0o20666, os.makedev(1, 1))", "seccomp"),
    ("io_uring is set up", "libc('syscall', 425, 1, 0)", "seccomp"),
    ("bpf is used", "libc('syscall', 321, 0, 0, 0)", "seccomp"),
]

THIEVES = [Case(what, attempt, "passed", weakest) for what, attempt, weakest in _ATTEMPTS]
"""Each passes when the operating system refuses its attempt."""


@dataclass(frozen=True)
class Stage:
    """What thieves are after."""

    names: str
    """Source that gives a program the names to find it by."""
    folder: Path
    listener: socket.socket

    @property
    def damage(self) -> str | None:
        """What was done to it, None for nothing."""
        self.listener.setblocking(False)
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            pass
        else:
            return "a connection was made"
        secret = self.folder / "secret"
        if [path.name for path in self.folder.iterdir()] != ["secret"]:
            return "the folder was changed"
        if secret.read_text() != "untouched" or secret.stat().st_mode & 0o777 != 0o666:
            return "the file was changed"
        return None


@contextmanager
def stage() -> Iterator[Stage]:
    """A file that only the sandbox protects, a listener, and their names for a program."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        Path(folder).chmod(0o777)
        secret = Path(folder, "secret")
        secret.write_text("untouched")
        secret.chmod(0o666)
        names = textwrap.dedent(
            f"""
            import ctypes, os, resource, signal, socket, time
            SECRET, FOLDER, PORT = {str(secret)!r}, {folder!r}, {listener.getsockname()[1]}
            HARNESS = {os.getpid()}
            def libc(name, *arguments):
                if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) < 0:
                    raise OSError(ctypes.get_errno(), name)
            """
        )
        yield Stage(names, Path(folder), listener)


def try_thief(sandbox: Sandbox, scene: Stage, case: Case) -> Outcome:
    """Lets it try to take what is not its own."""
    refused = (
        f"try:\n    {case.program}\nexcept (OSError, ValueError): pass\nelse: raise SystemError"
    )
    return sandbox.run_program(f"{scene.names}\n{refused}")
