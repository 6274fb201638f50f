"""Open files: a connection to a server is one, and a process may have only so many."""

import logging
import resource

log = logging.getLogger(__name__)

RESERVED = 256
"""For everything else that this process has open: libraries, logs, pipes, the event loop."""


def room_for(connections: int) -> int:
    """Makes room for connections, as far as the system lets this process.

    Returns:
        How many it may have: as many as asked for, or fewer.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    fewer = max(1, soft - RESERVED)
    log.warning(
        "ulimit -n is %d at most: %d requests at once instead of %d", soft, fewer, connections
    )
    return fewer
