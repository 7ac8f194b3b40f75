"""Benches of decoding, encoding and training against floors of this machine."""
