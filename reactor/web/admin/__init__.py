"""The daemon's own API: REST on a Unix socket, its first client is the command line."""
