"""Live state beside the plan: what differs, why it matters and what fixes it."""
