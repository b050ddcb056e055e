"""The site's own recordings: catalogue, de-identified signals and labels, and the beats cut from them."""
