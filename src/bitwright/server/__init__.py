"""An HTTP server for editors and agents: OpenAI's, Anthropic's and llama.cpp's interfaces over one batch."""
