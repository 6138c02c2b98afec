"""The system service: ranks and their states, the list of pools, properties and attributes of the system."""
