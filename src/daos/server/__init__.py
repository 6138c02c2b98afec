"""The daemon `daos_server`: storage, engines, the system service, the management API."""
