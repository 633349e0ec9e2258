"""What decides and does: router, intake, machine, runner. A Store keeps things for it."""
