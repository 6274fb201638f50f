"""The machine that a run uses: CPUs, GPUs, their energy, and the versions of what ran."""
