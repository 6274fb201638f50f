"""Other tools' files: reading logs, writing exports, sending results to trackers."""
