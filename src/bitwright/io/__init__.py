"""Files: GGUF and safetensors, the hub, labels, and atomic writing."""
