"""One round: the sites, their replies, and how they are combined."""
