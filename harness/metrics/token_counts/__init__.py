"""The metric in ``token_counts.py``; the folder is what ``evaluate.load`` takes."""
