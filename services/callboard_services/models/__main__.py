"""Run the models service as a process of its own."""

from callboard.service import main
from callboard_services.models.serve import serve

main("models", serve)
