"""What decides and does: router, intake, machine, runner. It asks a Store to keep things, and touches no disk itself."""
