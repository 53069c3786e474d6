"""The JSON API, pages, metrics, health; orders from those who may write."""
