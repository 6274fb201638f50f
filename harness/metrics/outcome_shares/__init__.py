"""The metric in ``outcome_shares.py``; the folder is what ``evaluate.load`` takes."""
