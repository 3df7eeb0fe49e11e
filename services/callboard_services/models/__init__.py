"""The models service: asks language models for the next step of a run, and says what it cost. It decides nothing."""
