"""Faults on a real Kafka: each is made to strike, then every answer is audited."""
