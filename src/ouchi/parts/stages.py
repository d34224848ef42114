"""The stages of ``up``, in the order the user thinks of them."""

STAGES = ("prepare", "inspect", "plan", "host", "dataplane", "cloud", "network", "image", "flavor", "servers", "verify")
