"""FedAvg as in Flower's guides, on arrays that are not trained."""
