"""The network of HTCL: tensors in, tensors out. Knows no training and no workspace."""
