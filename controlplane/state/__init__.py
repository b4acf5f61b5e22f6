"""The desired state as a log: what is kept in the state topic, and what every reader makes of it."""
