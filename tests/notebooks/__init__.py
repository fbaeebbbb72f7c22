"""The notebooks as they are handed out, and the same notebooks done by a student."""
