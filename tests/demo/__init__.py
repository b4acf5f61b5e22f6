"""`make demo`: a partner zone at work on a real Kafka, shown step by step and checked at each."""
