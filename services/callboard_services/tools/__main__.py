"""Run the tools service as a process: `python -m callboard_services.tools`."""

from callboard.service import main
from callboard_services.tools.serve import serve

if __name__ == "__main__":
    main("tools", serve)
