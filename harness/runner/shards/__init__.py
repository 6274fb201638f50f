"""One run over several workers: how requests are divided, and how shards are merged."""

from harness.runner.shards.draw import asked_ids, count_own, of_shard
from harness.runner.shards.merge import Shard, copy_into, read_shards

__all__ = ["Shard", "asked_ids", "copy_into", "count_own", "of_shard", "read_shards"]
