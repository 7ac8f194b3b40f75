"""Benches of the vector indexes: exact search against FAISS's, and what short cuts find in their time."""
