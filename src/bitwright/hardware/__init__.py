"""What fits, how fast, what the chip really does, what it costs: devices, models' shapes, memory and speed."""
