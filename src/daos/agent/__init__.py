"""The agent of a client's host: tells processes where the system is, and tells the system who they are."""
