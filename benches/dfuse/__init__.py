"""The benchmark of mounts: `dfuse`, the file system below it, and libfuse's passthrough, by the same calls."""
