"""What answers while things change: the version that is published as a whole."""
