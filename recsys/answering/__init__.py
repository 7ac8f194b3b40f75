"""From a question to a list: what stands behind every method of the front door."""
