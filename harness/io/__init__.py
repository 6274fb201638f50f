"""Text and bytes in and out: JSON Lines, YAML, streams, what may be printed, where files are."""
