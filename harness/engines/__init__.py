"""Engines: they turn requests into completions."""
