"""Bytes <-> meaning of the Kafka protocol. Pure and synchronous: no asyncio, sockets, TLS or logging, and no policy."""
