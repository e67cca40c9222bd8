"""What protects the host: limits, the guardian process, and every way to stop."""
