"""The plan's part that is of the machine itself: boot, CPUs, cards, services. Every change can be taken back."""
