"""The commands, one file each. Each returns an exit status and raises ``HarnessError``."""
