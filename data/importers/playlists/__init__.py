"""Importer of playlist files: M3U, XSPF and JSPF."""
