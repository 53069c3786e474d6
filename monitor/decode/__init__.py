"""Bytes to columns, a file per format."""
