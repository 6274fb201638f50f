"""Pages that stand alone: one HTML file with its style, scripts and data, and no network."""
