"""llama.cpp's own `llama-bench` as an instrument: its command, its output, and what the output says as events."""
