"""Files: trained nets on disk."""
