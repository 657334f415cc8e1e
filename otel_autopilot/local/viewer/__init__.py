"""The web viewer: pages of our own, and the API that they ask."""
