"""The metric in ``accuracy.py``; the folder is what ``evaluate.load`` takes."""
