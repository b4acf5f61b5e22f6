"""The gateway as partners and operators meet it: the real command in front of a real Kafka, and real clients."""
