"""What runs in the servers: the guest image, and the network functions in it."""
