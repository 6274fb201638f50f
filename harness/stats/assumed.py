"""What is taken for true where a publication does not say. Imports nothing, so settings may."""

PUBLISHED_SAMPLES = 4
"""Samples per problem that a published score is taken to rest on; most papers do not say."""
