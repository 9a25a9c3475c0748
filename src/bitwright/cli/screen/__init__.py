"""The full-screen chat. Everything here needs prompt_toolkit and rich, so nothing else imports it before it is used."""
