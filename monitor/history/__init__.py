"""What was known of a model in a past range? Read from the logs, beside the reference that it has now."""
