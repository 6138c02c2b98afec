"""The commands of `daos_server`."""
