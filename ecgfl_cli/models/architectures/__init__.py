"""Networks. Each module is named after its architecture and defines `ARCHITECTURE`."""
