"""Plain values and their rules: labels, sizes, properties. Pure: no clock, no socket, no file."""
