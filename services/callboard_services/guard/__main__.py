"""Run the guard as a process of its own."""

from callboard.service import main
from callboard_services.guard.serve import serve

main("guard", serve)
