"""The sums of a tick, in arenas."""
