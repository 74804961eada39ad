"""Which destinations an exchange selects for a message: one module for each way of matching."""
