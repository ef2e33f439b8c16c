"""The real command, the real model, real photos."""
