"""The privacy budget of this site: what each training costs, and what is left."""
