"""The ledger: folds every record into tables that people query; it decides nothing and can be rebuilt at any time."""
