"""Engines make requests; a worker process loads exactly one of them."""
