"""The plan's changes of the host itself, as steps of reversible changes: boot, CPUs, NICs, Open vSwitch."""
