"""The files of a run: manifest, requests, completions, verdicts, heartbeat."""
