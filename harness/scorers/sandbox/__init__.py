"""Runs model-written Python in a sandbox, and reports whether it passed.

``pool.Sandbox`` is the way in. It owns a few *wardens*: clean interpreters, exec'd and not forked,
so that they hold nothing of the harness, each of which forks one confined child per program.

    harness side   config  level  canaries  pool  client  packages
    both sides     protocol
    warden side    warden  watch  child  program  script  owntests  finder  codec  workdir
                   namespaces  landlock  seccomp  syscalls

The warden side imports the standard library alone: it runs without site-packages.

Not covered: bugs of the kernel, side channels of CPU and cache. For weights from strangers put a
virtual machine or gVisor around the whole harness; the sandbox runs unchanged inside it.
"""
