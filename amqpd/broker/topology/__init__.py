"""A virtual host: what is declared in it, by which rules, and how messages find their way."""
