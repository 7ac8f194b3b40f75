"""The imports a workspace holds: a published folder of tables for each, their names and order, and how they merge."""
