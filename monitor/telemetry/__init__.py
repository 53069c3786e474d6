"""The daemon watching itself: the metric catalogue and the logs."""
