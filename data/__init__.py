"""What comes in: tables and their schema, importers, sessions, similar-song pairs, splits."""
