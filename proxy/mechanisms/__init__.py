"""SASL mechanisms: one file each, no sockets. A client's tokens in, challenges and a principal out."""
