"""What is said: every message, subject, id and error of Callboard. Only msgspec and the standard library."""
