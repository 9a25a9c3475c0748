"""Checkpoints as Hugging Face publishes them (config.json, safetensors, tokenizer), seen as GGUF files.

`architectures/families` says what keys and tensors a config.json becomes; `families/` here says by which names a
checkpoint has those tensors and what is done to their values. To add a family, write its small file there and enter it
in `FAMILIES`. The keys are those of llama.cpp's convert_hf_to_gguf.py, https://github.com/ggml-org/llama.cpp
"""
