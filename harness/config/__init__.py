"""The configuration: its types, how Hydra composes it, and what may differ on resume."""
