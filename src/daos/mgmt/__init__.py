"""The management API: who may ask what, a server of it, and a client."""
