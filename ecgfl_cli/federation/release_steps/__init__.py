"""The steps that shape what leaves a site, each with its site side and its coordinator side."""
