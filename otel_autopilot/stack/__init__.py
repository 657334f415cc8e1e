"""The real backends without containers: built from their Go modules into a cache, started on loopback."""
