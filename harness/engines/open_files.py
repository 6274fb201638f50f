"""The limit of open files: each connection to a server needs one."""

import logging
import resource

log = logging.getLogger(__name__)

RESERVED = 256
"""Files that this process has open besides connections: libraries, logs, pipes, the event loop."""


def room_for(connections: int) -> int:
    """Raises the limit of open files for connections, as far as the system allows.

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
