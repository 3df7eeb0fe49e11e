"""`python -m callboard_services.gateway`."""

from callboard.service import main
from callboard_services.gateway.serve import serve

if __name__ == "__main__":
    main("gateway", serve)
