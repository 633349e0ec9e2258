"""What Reactor talks about.

Events, flows, executions, requests. Frozen data, no behaviour beyond itself.
"""
