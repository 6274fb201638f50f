"""Assumptions where a publication is silent. Imports nothing, so that settings may import it."""

PUBLISHED_SAMPLES = 4
"""Samples per problem on which a published score is assumed to rest; most papers do not say."""
