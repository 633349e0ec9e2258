"""Points in time that start flows: cron expressions, spans, times of the day."""
