"""`python -m callboard_services.memory`."""

from callboard.service import main
from callboard_services.memory.serve import serve

main("memory", serve)
