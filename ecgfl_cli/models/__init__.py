"""Networks, their flat weight vectors, and the signed, versioned registry."""
