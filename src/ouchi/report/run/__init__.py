"""A run for people and programs: one page of HTML, tables, CSV, and figures for Prometheus."""
