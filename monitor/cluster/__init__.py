"""Replicas that share a fleet: one reads what another judges, over two topics of Kafka."""
