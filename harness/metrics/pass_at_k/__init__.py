"""The metric in ``pass_at_k.py``; the folder is what ``evaluate.load`` takes."""
