"""Importer of a user's own tables: their columns, mapped to the contract."""
