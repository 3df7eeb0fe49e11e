"""Old runs against today's code: what was recorded once is read for ever."""
