"""Run the planner as a process of its own."""

from callboard.service import main
from callboard_services.planner.serve import serve

main("planner", serve)
