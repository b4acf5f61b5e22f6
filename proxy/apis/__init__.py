"""One file per Kafka API family, and `table`, which says what every API is."""
