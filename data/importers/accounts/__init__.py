"""Importers of a person's own exports: ListenBrainz and Spotify."""
