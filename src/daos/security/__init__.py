"""Who is who: certificates of the parts of a system, and credentials of its users."""
