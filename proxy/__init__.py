"""The data plane: joins protocol and policies with asyncio. Listeners, sessions, broker connections."""
