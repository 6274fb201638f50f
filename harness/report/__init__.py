"""What people are shown of results."""
