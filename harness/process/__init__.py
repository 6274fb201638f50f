"""Child processes of the harness: sweep jobs, shards, runs of a night, and servers.

- ``start``: one child, its streams, and how it ended.
- ``reaper``: ends children with their context, and everything that they left behind.
- ``guardian``: ends them if the harness is killed.
- ``run_child``, ``spec``, ``report``: a child that makes a run, its input and its report.
- ``interruption``: SIGINT and SIGTERM as an exception.
"""
