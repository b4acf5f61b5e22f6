"""Tests, and the real Kafka cluster that they run against."""
