"""A virtual server to practise on and to try changes of a host on, for real.

QEMU gives it what real servers have and most virtual machines have not: SMT siblings, two groups of cores with a last
cache of their own, an IOMMU, cards with SR-IOV, pages of 1 GiB, GRUB and systemd. From
:func:`ouchi.rig.base.prepare` comes what is made once; a :class:`ouchi.rig.rig.Rig` is one such server in a folder of
its own.
"""
