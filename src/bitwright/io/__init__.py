"""Files: GGUF and safetensors, the hub, labels, and writing that leaves no half of a file."""
