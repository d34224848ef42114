"""Paths on one host: what joins the generator's ports, and what runs between them."""
