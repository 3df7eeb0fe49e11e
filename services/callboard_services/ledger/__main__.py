"""`python -m callboard_services.ledger`."""

from callboard.service import main
from callboard_services.ledger.serve import serve

if __name__ == "__main__":
    main("ledger", serve)
