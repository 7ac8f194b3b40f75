"""Making models: the two stages, their settings and losses, the loop, checkpoints, publishing."""
