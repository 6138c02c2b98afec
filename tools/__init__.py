"""What the repository runs on itself: set-up, build, gates, demo. Not part of the package."""
