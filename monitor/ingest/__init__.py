"""Bytes in: Kafka, files, the demo fleet."""
