"""A run from its configuration to its result: plan, prepare, execute, resume, shards, sweeps."""
