"""If this went wrong, when would we know? Synthetic faults in copies of a model's own tick sums, judged as they are."""
