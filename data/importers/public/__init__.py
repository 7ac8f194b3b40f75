"""Importers of public data sets in their published formats."""
