"""The metric in ``throughput.py``; the folder is what ``evaluate.load`` takes."""
