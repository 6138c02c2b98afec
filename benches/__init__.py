"""Benchmarks: the embedded store and its peers, measured in the same run; `make bench` runs them."""
