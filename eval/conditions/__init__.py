"""Other conditions than the plain ones: only new songs may be answered, or songs are hidden from every model."""
