"""Mail: what is sent, and how it reaches a server."""
