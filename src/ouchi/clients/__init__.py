"""Talking to daemons: Open vSwitch, libvirt and QEMU, OpenStack. No policy: what to do with an answer is decided above."""
