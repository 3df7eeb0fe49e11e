"""Run the approval service as a process of its own."""

from callboard.service import main
from callboard_services.approval.serve import serve

main("approval", serve)
