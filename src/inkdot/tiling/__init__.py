"""From slides to tables of tiles: what is foreground, where the tiles lie, what people said about them."""
