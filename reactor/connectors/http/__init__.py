"""HTTP: requests that start flows (`source`), and requests that flows send (`action`)."""
