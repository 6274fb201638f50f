"""The metric in ``cons_at_k.py``; the folder is what ``evaluate.load`` takes."""
