"""The parts that ouchi runs on a host, one file each."""
