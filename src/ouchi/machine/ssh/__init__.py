"""Hosts that are reached by ssh, with the OpenSSH client; nothing is installed there."""
