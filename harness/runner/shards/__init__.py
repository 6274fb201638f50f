"""One run over several workers: which requests each has, and how they become one run again."""

from harness.runner.shards.draw import asked_ids, count_own, of_shard
from harness.runner.shards.merge import Shard, copy_into, read_shards

__all__ = ["Shard", "asked_ids", "copy_into", "count_own", "of_shard", "read_shards"]
