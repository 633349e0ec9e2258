"""What Reactor talks about: events, flows, executions, requests. Frozen data, no behaviour beyond itself."""
