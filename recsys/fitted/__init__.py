"""Every source tuned on validation, fitted on what it may see, and kept in the workspace."""
