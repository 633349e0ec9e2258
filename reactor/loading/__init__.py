"""Loading: flow files become checked flows, or problems with their places."""
