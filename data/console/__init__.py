"""What a command prints and how it ends: progress, errors, exit codes, the names of the commands."""
