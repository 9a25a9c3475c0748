"""What fits, how fast, what the chip really does, what it costs: devices, memory and speed."""
