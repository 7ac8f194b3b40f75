"""Timings against a floor measured in the same run: what the machine, the decoders or a plain loop do by themselves."""
