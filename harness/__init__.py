"""Gegenprobe: a harness that cross-checks what is claimed of open reasoning models.

The import package is ``harness``, the distribution ``gegenprobe``. Importing it loads nothing else.
"""

__version__ = "0.1.0"
