"""The rig: a virtual server on which changes of a host can be practised and tested for real.

QEMU gives it what servers have and most virtual machines lack: SMT siblings, two groups of cores with an L3 cache each,
an IOMMU, NICs with SR-IOV, 1 GiB pages, GRUB and systemd. :func:`ouchi.rig.base.prepare` makes the assets that all rigs
share; a :class:`ouchi.rig.rig.Rig` is one such server in a folder of its own.
"""
