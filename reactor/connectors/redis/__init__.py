"""Redis: channels, streams and lists that start flows, and commands that flows send."""
