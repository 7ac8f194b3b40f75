"""The metrics: accuracy, beyond accuracy, their slices and curves, and the registry that names them."""
