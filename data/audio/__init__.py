"""Sound files: decoders, samples, and the plain reason where a file cannot be read."""
