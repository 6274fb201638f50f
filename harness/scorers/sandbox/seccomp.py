"""The system calls that a program may not make, as a filter for the kernel.

A deny-list: everything else is bounded by namespaces or Landlock, by resource limits and by
having no capability. What is denied, and why:

- network: no socket but ``socketpair`` (asyncio needs it), so none that reaches anybody;
- processes: no fork, no exec, no signal to anybody else, no look into another process; so the
  process that is killed at the end is the whole program;
- memory that ``RLIMIT_AS`` does not count or that outlives the process: memfd, SysV, queues, keys;
- doors that have opened too often: io_uring, bpf, userfaultfd, perf, new namespaces, mounts;
- at the levels without a separate file system: changing mode, owner, times or attributes of
  a file, which Landlock does not mediate. These pretend to succeed, as programs expect.

Numbers above the newest one known here answer ENOSYS, as an older kernel would.
"""

import ctypes
import errno
import struct

from harness.scorers.sandbox import syscalls

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}
_X32_BIT = 0x40000000
_NEWEST_KNOWN = 467

_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _MASK, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_GREATER, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x25, 0x35, 0x45
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_SET_MODE_FILTER = 1

_CLONE_THREAD = 0x00010000
_O_ACCMODE, _O_TRUNC = 0o3, 0o1000

_Numbers = tuple[int | None, int | None]
"""Number on x86_64, number on aarch64; None where the call does not exist."""

_DENIED: dict[int, dict[str, _Numbers]] = {
    errno.EACCES: {
        "socket": (41, 198),
        "connect": (42, 203),
        "accept": (43, 202),
        "accept4": (288, 242),
        "bind": (49, 200),
        "listen": (50, 201),
        "execve": (59, 221),
        "execveat": (322, 281),
        "name_to_handle_at": (303, 264),
        "open_by_handle_at": (304, 265),
    },
    errno.EPERM: {
        "fork": (57, None),
        "vfork": (58, None),
        "ptrace": (101, 117),
        "setpgid": (109, 154),
        "setsid": (112, 157),
        "tkill": (200, 130),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "process_madvise": (440, 440),
        "process_mrelease": (448, 448),
        "kcmp": (312, 272),
        "pidfd_open": (434, 434),
        "pidfd_getfd": (438, 438),
        "pidfd_send_signal": (424, 424),
        "setpriority": (141, 140),
        "ioprio_set": (251, 30),
        "sched_setparam": (142, 118),
        "sched_setscheduler": (144, 119),
        "sched_setattr": (314, 274),
        "sched_setaffinity": (203, 122),
        "migrate_pages": (256, 238),
        "move_pages": (279, 239),
        "personality": (135, 92),
        "modify_ldt": (154, None),
        "iopl": (172, None),
        "ioperm": (173, None),
        "syslog": (103, 116),
        "acct": (163, 89),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "swapon": (167, 224),
        "swapoff": (168, 225),
        "reboot": (169, 142),
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "sethostname": (170, 161),
        "setdomainname": (171, 162),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "adjtimex": (159, 171),
        "clock_adjtime": (305, 266),
        "vhangup": (153, 58),
        "chroot": (161, 51),
        "pivot_root": (155, 41),
        "mount": (165, 40),
        "umount2": (166, 39),
        "open_tree": (428, 428),
        "open_tree_attr": (467, 467),
        "move_mount": (429, 429),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
        "mount_setattr": (442, 442),
        "unshare": (272, 97),
        "setns": (308, 268),
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "fanotify_init": (300, 262),
        "add_key": (248, 217),
        "request_key": (249, 218),
        "keyctl": (250, 219),
        "shmget": (29, 194),
        "shmat": (30, 196),
        "shmctl": (31, 195),
        "semget": (64, 190),
        "semctl": (66, 191),
        "msgget": (68, 186),
        "msgctl": (71, 187),
        "mq_open": (240, 180),
        "mq_unlink": (241, 181),
    },
    errno.ENOSYS: {
        "clone3": (435, 435),  # its flags lie behind a pointer; the C library falls back to clone
        "openat2": (437, 437),
        "memfd_create": (319, 279),
        "memfd_secret": (447, 447),
        "userfaultfd": (323, 282),
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
    },
}
_TOUCHES_FILES: dict[int, dict[str, _Numbers]] = {
    0: {
        "chmod": (90, None),
        "fchmod": (91, 52),
        "fchmodat": (268, 53),
        "fchmodat2": (452, 452),
        "chown": (92, None),
        "fchown": (93, 55),
        "lchown": (94, None),
        "fchownat": (260, 54),
        "utime": (132, None),
        "utimes": (235, None),
        "futimesat": (261, None),
        "utimensat": (280, 88),
    },
    errno.ENOTSUP: {
        "setxattr": (188, 5),
        "lsetxattr": (189, 6),
        "fsetxattr": (190, 7),
        "setxattrat": (463, 463),
        "removexattr": (197, 14),
        "lremovexattr": (198, 15),
        "fremovexattr": (199, 16),
        "removexattrat": (466, 466),
    },
    # Landlock knows truncation by path only since its third version.
    errno.EACCES: {"truncate": (76, 45)},
}
_CLONE: _Numbers = (56, 220)
_PRCTL: _Numbers = (157, 167)
_PRLIMIT64: _Numbers = (302, 261)
_SIGNALS: tuple[_Numbers, ...] = ((62, 129), (234, 131), (129, 138), (297, 240))
"""kill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo."""
_OPEN: _Numbers = (2, None)
_OPENAT: _Numbers = (257, 56)

_Step = tuple[int, int, int, int]
"""Code, steps to skip if true, steps to skip if false, operand."""
_OWN_PID = -1
"""Operand to be replaced by the process id."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


class Filter:
    """A filter, complete but for the id of the process that will install it."""

    def __init__(self, *, sees_host_files: bool) -> None:
        """Assembles the filter.

        Args:
            sees_host_files: Programs have no separate file system: deny also what changes
                the attributes of files.

        Raises:
            OSError: There is no table of calls for this machine.
        """
        if syscalls.MACHINE not in _ARCH:
            raise OSError(errno.ENOSYS, f"seccomp: no table of calls for {syscalls.MACHINE}")
        self._column = _COLUMN[syscalls.MACHINE]
        denied = self._by_number(_DENIED)
        if sees_host_files:
            denied |= self._by_number(_TOUCHES_FILES)
        steps = _prologue()
        steps += self._where_arguments_decide(sees_host_files=sees_host_files)
        steps += _search(sorted(denied.items()))
        self._code = bytearray(_assemble(steps))
        self._length = len(steps)
        self._pid_offsets = [8 * at + 4 for at, step in enumerate(steps) if step[3] == _OWN_PID]

    def install(self, pid: int) -> None:
        """Installs the filter for good, in this process and all its threads to come.

        Args:
            pid: The caller's process id as the program will see it: it may signal no other.
        """
        for offset in self._pid_offsets:
            struct.pack_into("I", self._code, offset, pid)
        program = _Program(self._length, bytes(self._code))
        number = syscalls.SYS_SECCOMP[syscalls.MACHINE]
        syscalls.call("seccomp", number, _SET_MODE_FILTER, 0, ctypes.byref(program))

    def _by_number(self, table: dict[int, dict[str, _Numbers]]) -> dict[int, int]:
        return {
            number: answer
            for answer, calls in table.items()
            for numbers in calls.values()
            if (number := numbers[self._column]) is not None
        }

    def _where_arguments_decide(self, *, sees_host_files: bool) -> list[_Step]:
        column = self._column
        steps = _when(_CLONE[column], 0, [(_IF_ANY_BIT, 1, 0, _CLONE_THREAD)])
        # A program that unset its death signal would outlive a killed warden.
        steps += _when(_PRCTL[column], 0, [(_IF_EQUAL, 0, 1, syscalls.PR_SET_PDEATHSIG)])
        steps += _when(_PRLIMIT64[column], 0, [(_IF_EQUAL, 2, 0, 0), (_IF_EQUAL, 1, 0, _OWN_PID)])
        for numbers in _SIGNALS:
            steps += _when(numbers[column], 0, [(_IF_EQUAL, 1, 0, _OWN_PID)])
        if sees_host_files:
            # To open for reading and truncate needs no right to write before Landlock's version 3.
            truncates = [(_MASK, 0, 0, _O_ACCMODE | _O_TRUNC), (_IF_EQUAL, 0, 1, _O_TRUNC)]
            steps += _when(_OPEN[column], 1, truncates) + _when(_OPENAT[column], 2, truncates)
        return steps


def _prologue() -> list[_Step]:
    """Refuses calls of another architecture, and those newer than this table."""
    return [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        (_IF_EQUAL, 1, 0, _ARCH[syscalls.MACHINE]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_IF_AT_LEAST, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, _KILL),
        (_IF_GREATER, 0, 1, _NEWEST_KNOWN),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]


def _when(number: int | None, argument: int, test: list[_Step]) -> list[_Step]:
    """Tests an argument of one call; the test skips one step more to allow than to deny."""
    if number is None:
        return []
    body: list[_Step] = [
        (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * argument),  # its lower half: little-endian
        *test,
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return [(_IF_EQUAL, 0, len(body), number), *body]


def _search(denied: list[tuple[int, int]]) -> list[_Step]:
    """A binary search: the kernel runs the filter once for each call's number on installing it."""
    if len(denied) <= 3:  # noqa: PLR2004 - below that a search costs more than a list
        leaf = [
            step
            for number, answer in denied
            for step in ((_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | answer))
        ]
        return [*leaf, (_RETURN, 0, 0, _ALLOW)]
    middle = len(denied) // 2
    below, above = _search(denied[:middle]), _search(denied[middle:])
    return [(_IF_AT_LEAST, len(below), 0, denied[middle][0]), *below, *above]


def _assemble(steps: list[_Step]) -> bytes:
    return b"".join(struct.pack("HBBI", *step[:3], step[3] & 0xFFFFFFFF) for step in steps)
