"""The picture of a host: its cores by socket, NUMA node and L3 cache, who has each of them, and its NICs.

One layout in two forms, SVG and the terminal. Without a plan both show the facts alone.
"""
