"""The benchmark of running systems: ours and Redis on loopback, in the same run, at the same durability."""
