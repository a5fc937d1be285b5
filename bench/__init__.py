"""Benchmarks: contestants measured side by side in one run, never timed in a test. `python -m bench` lists them.

Each runs its contestants in turns, three rounds of each, prints a table, and ends with one line of JSON:
`{"bench": ..., "ratios": {...}, "figures": {...}}`. Ratios carry from one machine to another; figures do not.
"""
