"""The engine `llama_cpp`."""
