"""PostgreSQL's logical replication: what changes in tables, in the order of its commits."""
