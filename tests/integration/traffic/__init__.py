"""Clients that produce or consume as fast as they may, each library in a process of its own."""
