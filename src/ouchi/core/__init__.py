"""What everything stands on: errors, events, tasks, waiting, CPU lists, the instance."""
