"""What must survive, in one embedded store and one atomic write."""
