"""Read only: the JSON API, metrics, health."""
