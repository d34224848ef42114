"""The base of all other packages: errors, events, tasks, waiting, CPU lists, the instance, the command log."""
