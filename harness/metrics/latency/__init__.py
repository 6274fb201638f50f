"""The metric in ``latency.py``; the folder is what ``evaluate.load`` takes."""
