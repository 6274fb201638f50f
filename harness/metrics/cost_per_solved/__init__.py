"""The metric in ``cost_per_solved.py``; the folder is what ``evaluate.load`` takes."""
