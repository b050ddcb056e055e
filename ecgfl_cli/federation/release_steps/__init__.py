"""Steps that shape what leaves a site. Each has a site side, a coordinator side, or both."""
