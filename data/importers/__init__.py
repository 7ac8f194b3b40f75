"""Importers: what people bring, read into the tables of the data contract."""
