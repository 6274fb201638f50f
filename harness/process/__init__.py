"""Child processes of the harness: how they start, report and end."""
