"""FedAvg as Flower's own guides write it, on arrays that nobody trains."""
