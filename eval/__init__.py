"""How good is it: tasks, metrics, statistics, tables, benchmarks and the command that runs them."""
