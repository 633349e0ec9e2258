"""What the daemon serves over HTTP: webhooks on our own listener, the API beside it."""
