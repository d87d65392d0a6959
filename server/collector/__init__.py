"""The collector: HTTP requests from apps to durable events. Open to the internet, so every length,
count and wait has a limit (``docs/server.md``).
"""
