"""What is remembered, for people: documents in, answers out, and whose trace leads where."""
