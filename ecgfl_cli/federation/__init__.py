"""Sites and coordinator over Flower. The only package that imports flwr; its private parts are in `flower`."""
