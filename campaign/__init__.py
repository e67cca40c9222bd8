"""The night itself: plan, planner, machine, supervisor, and the ways to talk to them."""
