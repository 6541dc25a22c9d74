"""A whole stack on one machine: broker, live traffic, worker, view."""
